"""Makes the recordings of a language: WAV files of 8 kHz, 16 bits, mono, as telephone exchanges play them.

They are in `instance/voices`, in a folder for each language. `example.wav` there is a whole call with an example code,
joined of the others: the dashboard's page of languages plays it.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
import wave
from array import array
from pathlib import Path

from letstalk.config.settings import PROJECT_ROOT
from letstalk.telephony.recordings.voices import PackagedVoice
from letstalk.telephony.speech.languages import BRAND, LANGUAGES, Language
from letstalk.telephony.speech.scripts import pauses_ms

RECORDINGS_FOLDER = PROJECT_ROOT / "instance" / "voices"
EXAMPLE = "example.wav"
EXAMPLE_CODE = "490271"

TELEPHONE_RATE = 8000
SPEAK_SECONDS = 60
SENTENCE_PAUSE_MS = 350  # about what a voice makes of a full stop
_CUTOFF_HERTZ = 3600
_HALF_WIDTH = 32  # of the low-pass filter, in samples of the telephone rate, on each side of the middle
_PEAK = 0.7 * 32767


class RecordingFailed(Exception):
    """The message is for the operator."""


def find_example(folder: Path, tag: str) -> Path | None:
    """The recorded example of the language `tag` in `folder`. None if there is none, or no such language.

    The name is one of ours, never the caller's, and a link that leads out of `folder` is not followed.
    """
    for language in LANGUAGES:
        if language.tag == tag:
            path = (folder / language.tag / EXAMPLE).resolve()
            return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
    return None


def build_recordings(language: Language, voice: PackagedVoice, brand: str, folder: Path) -> list[Path]:
    """Writes the digits, the sentences and an example of `language`, and the licence, into `folder`.

    Returns the paths of the sounds, the example last.

    Raises RecordingFailed if the voice's program is missing or fails.
    """
    program = shutil.which(voice.program)
    if program is None:
        raise RecordingFailed(f"{voice.program} is not installed: {voice.install}.")
    texts = {f"digits/{digit}": str(digit) for digit in range(10)}
    for name in ("greeting", "code_introduction", "repeat_introduction", "hear_again", "goodbye", "offer"):
        texts[name] = getattr(language, name).replace(BRAND, brand)
    paths = []
    sounds: dict[str, array[int]] = {}
    for name, text in texts.items():
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        samples, rate = _speak(voice, program, text)
        sounds[name] = _levelled(_at_telephone_rate(samples, rate))
        _write(path, sounds[name])
        paths.append(path)
    paths.append(folder / EXAMPLE)
    _write(paths[-1], _example_of(sounds))
    about = {"language": language.tag, "voice": voice.name, "licence": voice.licence, "texts": texts}
    (folder / "recordings.json").write_text(json.dumps(about, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    (folder / "LICENCE.txt").write_text(
        f"Spoken by the voice {voice.name}, whose licence is {voice.licence}. It comes from: {voice.install}.\n",
        encoding="utf-8",
    )
    return paths


def _example_of(sounds: dict[str, array[int]]) -> array[int]:
    """A whole call that says EXAMPLE_CODE twice, with the pauses of a real one."""
    code: list[array[int]] = []
    for digit, pause in zip(EXAMPLE_CODE, pauses_ms(len(EXAMPLE_CODE)), strict=True):
        code += [sounds[f"digits/{digit}"], _silence(pause)]
    spoken = array("h")
    for part in (
        *(sounds["greeting"], _silence(SENTENCE_PAUSE_MS), sounds["code_introduction"], _silence(SENTENCE_PAUSE_MS)),
        *code,
        *(sounds["repeat_introduction"], _silence(SENTENCE_PAUSE_MS)),
        *code,
        *(sounds["hear_again"], _silence(SENTENCE_PAUSE_MS), sounds["goodbye"]),
    ):
        spoken.extend(part)
    return spoken


def _silence(milliseconds: int) -> array[int]:
    return array("h", [0]) * (TELEPHONE_RATE * milliseconds // 1000)


def _speak(voice: PackagedVoice, program: str, text: str) -> tuple[array[int], int]:
    with tempfile.TemporaryDirectory() as folder:
        file, source = Path(folder) / "said.wav", Path(folder) / "text.txt"
        source.write_text(text, encoding="utf-8")
        values = {"text": text, "file": str(file), "input": str(source)}
        # The words of the command are ours; the text is one argument, and no shell reads it.
        command = [program, *(part.format(**values) for part in voice.command[1:])]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=SPEAK_SECONDS)  # noqa: S603
            with wave.open(str(file)) as sound:
                if (sound.getnchannels(), sound.getsampwidth()) != (1, 2):
                    raise RecordingFailed(f"{voice.program} wrote a sound that is not mono with 16 bits.")
                return array("h", sound.readframes(sound.getnframes())), sound.getframerate()
        except (subprocess.SubprocessError, OSError, wave.Error, EOFError) as error:
            raise RecordingFailed(f"{voice.program} could not speak: {type(error).__name__}.") from error


def _at_telephone_rate(samples: array[int], rate: int) -> list[float]:
    """The samples at 8 kHz, without what a telephone cannot carry. Any rate of 8 kHz or more is taken."""
    step = rate / TELEPHONE_RATE
    reach = math.ceil(_HALF_WIDTH * step)
    cutoff = _CUTOFF_HERTZ / rate
    padded = [0] * reach + list(samples) + [0] * (reach + 1)
    resampled = []
    kernels: dict[int, list[float]] = {}
    for index in range(int(len(samples) / step)):
        position = index * step
        whole, fraction = int(position), round((position % 1) * 64)
        if fraction not in kernels:
            kernels[fraction] = _low_pass(reach, cutoff, fraction / 64)
        window = padded[whole : whole + 2 * reach + 1]
        resampled.append(sum(map(float.__mul__, kernels[fraction], map(float, window))))
    return resampled


def _low_pass(reach: int, cutoff: float, offset: float) -> list[float]:
    """A sinc under Hann's window, whose middle is `offset` samples behind the middle."""
    weights = []
    for tap in range(-reach, reach + 1):
        at = tap - offset
        sinc = 2 * cutoff if at == 0 else math.sin(2 * math.pi * cutoff * at) / (math.pi * at)
        weights.append(sinc * (0.5 + 0.5 * math.cos(math.pi * at / (reach + 1))))
    total = sum(weights)
    return [weight / total for weight in weights]


def _levelled(samples: list[float]) -> array[int]:
    loudest = max((abs(sample) for sample in samples), default=0) or 1
    return array("h", (round(sample / loudest * _PEAK) for sample in samples))


def _write(path: Path, samples: array[int]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(TELEPHONE_RATE)
        file.writeframes(samples.tobytes())
