"""What is said: the product's own SSML, taken apart, and how other systems read a code. Pure Python.

A reading is a list of pieces: text that a voice says in one go, and pauses in milliseconds. Ours is parsed from the
SSML that `render_code` returns, so that a change of the product is heard.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from letstalk.telephony.speech.scripts import render_code

SENTENCE_PAUSE_MS = 350  # what neural voices leave between two sentences
BRAND = "Let's Talk"

Piece = str | int
Reading = tuple[Piece, ...]

# The digits as words, from 0 to 9, for the languages that packaged voices speak.
DIGITS = {
    "en": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "es": ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"),
    "fr": ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"),
    "pt": ("zero", "um", "dois", "três", "quatro", "cinco", "seis", "sete", "oito", "nove"),
    "de": ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
    "it": ("zero", "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove"),
    "ru": ("ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять"),
    "pl": ("zero", "jeden", "dwa", "trzy", "cztery", "pięć", "sześć", "siedem", "osiem", "dziewięć"),
    "uk": ("нуль", "один", "два", "три", "чотири", "п'ять", "шість", "сім", "вісім", "дев'ять"),
    "sw": ("sifuri", "moja", "mbili", "tatu", "nne", "tano", "sita", "saba", "nane", "tisa"),
}


@dataclass(frozen=True, slots=True)
class Script:
    """A way to read a code: `read` gives the pieces of one reading, without the words before it."""

    name: str
    says: str
    read: Callable[[str, str], Reading]


def pieces_of(ssml: str) -> Reading:
    """The texts and pauses of a speech, in order. Pauses that follow each other become one."""
    root = ET.fromstring(f"<speak>{ssml}</speak>")  # noqa: S314 - the product's own output
    return tuple(_merged(_walk(root)))


def _walk(element: ET.Element) -> Iterable[Piece]:
    if element.tag == "break":
        yield int(element.attrib["time"].removesuffix("ms"))
    elif element.text and element.text.strip():
        yield " ".join(element.text.split())
    for child in element:
        yield from _walk(child)
        if child.tail and child.tail.strip():
            yield " ".join(child.tail.split())
    if element.tag == "s":
        yield SENTENCE_PAUSE_MS


def _merged(pieces: Iterable[Piece]) -> Iterable[Piece]:
    pause = 0
    for piece in pieces:
        if isinstance(piece, int):
            pause += piece
            continue
        if pause:
            yield pause
            pause = 0
        words, digit = re.fullmatch(r"(.*?)(\d?)", piece).groups()  # type: ignore[union-attr]  # matches every text
        yield from (each.strip() for each in (words, digit) if each.strip())
    if pause:
        yield pause


def product_call(code: str, language: str) -> Reading:
    """All that our call says, in `language`."""
    return pieces_of(render_code(code, brand=BRAND, locale=language, region=None).ssml)


def product_reading(code: str, language: str, which: int = 0) -> tuple[str, Reading]:
    """The words before one of the two readings of our call, and the reading: digits and pauses."""
    pieces = product_call(code, language)
    starts = [index for index, piece in enumerate(pieces) if isinstance(piece, str) and piece.isdigit()]
    first = starts[which * len(code)]
    end = starts[(which + 1) * len(code) - 1] + 1
    words = pieces[first - 1]
    assert isinstance(words, str)  # noqa: S101 - words stand before a code: the product's tests hold that
    return words, pieces[first:end]


def _ours(code: str, language: str) -> Reading:
    return product_reading(code, language)[1]


def _even(pause_ms: int) -> Callable[[str, str], Reading]:
    def read(code: str, language: str) -> Reading:  # noqa: ARG001 - the digits are the same in all languages
        pieces: list[Piece] = []
        for digit in code:
            pieces += [digit, pause_ms]
        return tuple(pieces[:-1])

    return read


def _grouped(digit_ms: int, group_ms: int, size: int = 3) -> Callable[[str, str], Reading]:
    def read(code: str, language: str) -> Reading:  # noqa: ARG001 - the digits are the same in all languages
        pieces: list[Piece] = []
        for index, digit in enumerate(code):
            pieces += [digit, group_ms if (index + 1) % size == 0 else digit_ms]
        return tuple(pieces[:-1])

    return read


def _in_one_go(mark: str) -> Callable[[str, str], Reading]:
    """The voice itself makes the pauses that it makes for `mark`."""

    def read(code: str, language: str) -> Reading:
        words = DIGITS[language[:2]]
        return (f"{mark} ".join(words[int(digit)] for digit in code) + mark,)

    return read


def _oh(code: str, language: str) -> Reading:
    return tuple("oh" if piece == "0" else piece for piece in _ours(code, language))


OURS = Script("ours", "the product's own pauses", _ours)
RUN_ON = Script("run-on", "4 9 0 2 7 1 in one go", _in_one_go(""))
OH = Script("oh", "ours with “oh” for zero", _oh)
# As read by public sources: Twilio's and Somleng's punctuation, Login.gov's pause (at the normal rate).
OTHERS = (
    Script("Twilio", "“4. 9. 0. 2. 7. 1.”", _in_one_go(".")),
    Script("Somleng", "“4, 9, 0, 2, 7, 1,”", _in_one_go(",")),
    Script("Login.gov", "500 ms between all digits", _even(500)),
    RUN_ON,
)
# One change at a time against ours.
CANDIDATES = (
    Script("groups 350/700", "350 ms, and 700 ms between groups", _grouped(350, 700)),
    Script("groups 500/1000", "500 ms, and 1,000 ms between groups", _grouped(500, 1000)),
    Script("even 350", "350 ms between all digits", _even(350)),
    Script("even 700", "700 ms between all digits", _even(700)),
    Script("groups 100/500", "100 ms, and 500 ms between groups", _grouped(100, 500)),
    Script("pairs 250/500", "groups of two", _grouped(250, 500, 2)),
    Script("commas", "“4, 9, 0, 2, 7, 1,” in one go", _in_one_go(",")),
)
