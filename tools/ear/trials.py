"""The trials: a code, said by a voice in a script, sent over a line, and heard by both ears."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, field

import numpy as np

from tools.ear import line, scripts
from tools.ear.decoder import Clip, Ear
from tools.ear.line import BABBLE_10, CLEAN, Condition, Sound
from tools.ear.scripts import Reading, Script
from tools.ear.templates import Template, TemplateEar
from tools.ear.voices import Voice, pause

SEED = 7
_BEFORE_CODE_MS, _AFTER_CODE_MS, _TEMPLATE_PAUSE_MS = 250, 300, 300
_NOISE_SECONDS = 40


@dataclass(frozen=True, slots=True)
class Trial:
    code: str
    voice: str
    script: str
    condition: str
    language: str
    seconds: float  # of the reading
    heard_a: str
    heard_b: str | None  # None where ear B was not asked

    @property
    def is_right_a(self) -> bool:
        return self.heard_a == self.code

    @property
    def is_right_b(self) -> bool:
        return self.heard_b == self.code


@dataclass
class Laboratory:
    """Runs trials. Its noises and templates are made once."""

    ear: Ear
    voices: list[Voice]
    noises: dict[str, Sound] = field(default_factory=dict)
    template_ears: dict[str, TemplateEar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        generator = np.random.default_rng(SEED)
        english = [voice for voice in self.voices if voice.language == "en-US" and not voice.is_person]
        talk = (
            "The meeting starts after lunch, and everybody is welcome.",
            "Please send the letter back to the office on Monday morning.",
            "My neighbour has a garden with apples, pears and a very old cherry tree.",
        )
        talkers = [np.concatenate([voice.say(text) for text in talk]) for voice in english]
        talkers += [np.concatenate([voice.say(text) for text in reversed(talk)]) for voice in english]
        self.noises = {
            "babble": line.babble(talkers, _NOISE_SECONDS, generator),
            "street": line.street(_NOISE_SECONDS, generator),
        }

    def run(
        self, voices: list[Voice], script: Script, condition: Condition, codes: list[str], *, with_b: bool = False
    ) -> list[Trial]:
        """One trial for each of `codes`; the voices take turns. The same code and voice get the same noise."""
        spoken = [(code, voices[index % len(voices)]) for index, code in enumerate(codes)]
        clips, lengths = [], []
        for code, voice in spoken:
            words = scripts.product_reading(code, voice.language)[0]
            reading = voice.read(script.read(code, voice.language))
            lengths.append((len(reading) + line.RATE * _AFTER_CODE_MS // 1000) / line.RATE)
            sound = np.concatenate([voice.say(words), pause(_BEFORE_CODE_MS), reading, pause(_AFTER_CODE_MS)])
            seed = zlib.crc32(f"{code} {voice.name} {condition.name}".encode())
            heard = line.transmit(sound, condition, self.noises, np.random.default_rng(seed))
            clips.append(Clip(heard, voice.language, words.replace(" :", ":")))
        heard_a, frames = self.ear.listen(clips)
        trials = []
        for index, (code, voice) in enumerate(spoken):
            heard_b = None
            if with_b:
                of_reading = frames[index][-int(lengths[index] * 50) :]
                heard_b = self._template_ear(voice.language).listen(of_reading, voice.name)
            seconds = lengths[index] - _AFTER_CODE_MS / 1000
            trials.append(
                Trial(code, voice.name, script.name, condition.name, voice.language, seconds, heard_a[index], heard_b)
            )
        return trials

    def hear_silence(self, voice: Voice, condition: Condition, codes: list[str]) -> list[Trial]:
        """The words before a code and then none: what is heard is made up."""
        silent = Script("silence", "no code at all", _say_nothing)
        return self.run([voice], silent, condition, codes)

    def _template_ear(self, language: str) -> TemplateEar:
        """Templates of each digit by every voice of the language, clean and in babble at 10 dB."""
        if language not in self.template_ears:
            clips, labels = [], []
            for voice in (each for each in self.voices if each.language == language):
                for digit in range(10):
                    for condition in (CLEAN, BABBLE_10):
                        edge = pause(_TEMPLATE_PAUSE_MS)
                        sound = np.concatenate([edge, voice.say(str(digit)), edge])
                        seed = zlib.crc32(f"{digit} {voice.name} {condition.name}".encode())
                        heard = line.transmit(sound, condition, self.noises, np.random.default_rng(seed))
                        clips.append(Clip(heard, language, ""))
                        labels.append((digit, voice.name))
            _, frames = self.ear.listen(clips, length=0)
            cut = _TEMPLATE_PAUSE_MS // 20
            templates = [
                Template(digit, name, each[cut:-cut]) for (digit, name), each in zip(labels, frames, strict=True)
            ]
            silences = np.concatenate([part for each in frames for part in (each[: cut - 3], each[-cut + 3 :])])
            self.template_ears[language] = TemplateEar(templates, silences)
        return self.template_ears[language]


def _say_nothing(code: str, language: str) -> Reading:  # noqa: ARG001 - it is a script like the others
    return (4000,)


def make_codes(count: int, *, with_digit: str = "") -> list[str]:
    """`count` random codes of six digits, always the same ones. All contain `with_digit`."""
    numbers = random.Random(SEED)
    codes: list[str] = []
    while len(codes) < count:
        code = "".join(numbers.choice("0123456789") for _ in range(6))
        if with_digit in code:
            codes.append(code)
    return codes
