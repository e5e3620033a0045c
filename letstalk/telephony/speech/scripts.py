"""What a called phone hears: SSML for the voice, and the same as plain text for a person's eyes.

A code is read digit by digit in groups of three or four, with pauses long enough to write it down. In a payload its
digits are parted by spaces and `<break>` tags only, and no other number stands directly before or after them: where
a message would bring one there, a semicolon and a pause part the two; the default sentences keep words between code
and brand. Besides the frame only `<s>` and `<break>` are used, which all neural voices of Polly and Azure know;
no `<prosody>`, because pauses keep digits clearer on a telephone line than slower speech does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from letstalk.core.errors import InvalidRequest
from letstalk.telephony.speech.languages import choose_language, supported_locales
from letstalk.telephony.speech.languages.base import BRAND, Language

__all__ = [
    "Speech",
    "check_message",
    "check_speech",
    "choose_language",
    "render_code",
    "render_offer",
    "supported_locales",
]

CODE = "{code}"
MAX_SSML_LENGTH = 3000  # Telnyx
MAX_MESSAGE_LENGTH = 300
MAX_CODES_IN_MESSAGE = 2
MAX_BRAND_LENGTH = 128  # Telnyx's limit for the name that it displays
GROUP_SIZES = {6: (3, 3), 7: (3, 4), 8: (4, 4), 9: (3, 3, 3), 10: (3, 3, 4)}

DIGIT_PAUSE = ' <break time="250ms"/>'
GROUP_PAUSE = ' <break time="500ms"/>'
CODE_PAUSE = '<break time="500ms"/>'

# Between what neural voices need for short sentences of English and of slower languages; only the simulator asks.
CHARACTERS_PER_SECOND = 18
SECONDS_PER_DIGIT = 0.3

# Control characters (Cc), surrogates (Cs) and the two code points that no XML document may hold.
_UNSPEAKABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_MARKUP = re.compile("[<>]")
_BREAK = re.compile(r'<break time="(\d+)ms"/>')
_DIGITS = re.compile(r"\d")

# Heard as a pause, or read as the end of one thing. A comma or a full stop is not: either may stand within a number.
_PARTING_MARKS = frozenset(":;!?؛؟")

# Digits keep their order on a screen whose text runs from right to left.
_ISOLATE, _END_OF_ISOLATE = "\u2066", "\u2069"

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True)
class Speech:
    """`ssml` is the payload, at most 3,000 characters, with `voice` and `language` (BCP 47) to speak it.

    `text` is what a listener hears, without tags. It holds the code, as `ssml` does: for the called person only.
    """

    ssml: str
    voice: str
    language: str
    text: str

    @property
    def seconds(self) -> float:
        """About how long it takes to say, at a normal rate: a guess for the simulator, right to a few seconds."""
        pauses_ms = sum(map(int, _BREAK.findall(self.ssml)))
        words, digits = _DIGITS.subn("", self.text)
        spoken_characters = len(" ".join(words.split()))
        return pauses_ms / 1000 + digits * SECONDS_PER_DIGIT + spoken_characters / CHARACTERS_PER_SECOND

    def __repr__(self) -> str:
        return f"Speech(voice={self.voice!r}, language={self.language!r})"  # a traceback must not show the code


class _Frame(NamedTuple):
    """What stands before, between and after the two readings of a code."""

    before: str
    between: str
    after: str

    def around(self, code: str) -> str:
        return f"{self.before}{code}{self.between}{code}{self.after}"


def render_code(code: str, *, brand: str, locale: str | None, region: str | None, message: str | None = None) -> Speech:
    """The speech that tells `code` (6 to 10 digits): twice, from `brand`, or as `message` wants it.

    `locale` and `region` (ISO 3166 of the phone) choose the language as `choose_language` does. In `message` each
    `{code}` becomes the digits; where it has none, they follow at its end; nothing else is added to it.
    Raises InvalidRequest for a bad locale or message, ValueError for a code or brand that cannot be spoken.
    """
    if not (code.isascii() and code.isdigit() and len(code) in GROUP_SIZES):
        raise ValueError("a code is 6 to 10 digits")
    language = choose_language(locale, region)
    shown = " ".join(code)
    if language.right_to_left:
        shown = f"{_ISOLATE}{shown}{_END_OF_ISOLATE}"
    if message is not None:
        return _render_message(message, _paused(code), shown, language)
    ssml, text = _frames(language, brand)
    return Speech(ssml.around(_paused(code)), language.voice, language.tag, text.around(shown))


def check_speech(code: str, *, brand: str, locale: str | None, region: str | None, message: str | None) -> None:
    """Pass what `render_code` can render; raise what it raises for anything else."""
    if message is None:
        _frames(choose_language(locale, region), brand)  # in every language they leave room for the longest code
    else:
        render_code(code, brand=brand, locale=locale, region=region, message=message)


def render_offer(*, brand: str, locale: str | None, region: str | None) -> Speech:
    """The speech that says who calls and that key 1 gives the code, with no code in it.

    Raises InvalidRequest for a malformed locale, ValueError for a brand that cannot be spoken.
    """
    language = choose_language(locale, region)
    text = language.offer.replace(BRAND, _speakable(brand))
    return Speech(f"{language.opening}{_escape(text)}{language.closing}", language.voice, language.tag, text)


def check_message(message: str) -> None:
    """Pass a `message` that can be spoken around a code; raise InvalidRequest (field `message`) for any other."""
    if not 1 <= len(message) <= MAX_MESSAGE_LENGTH:
        problem = f"A message has 1 to {MAX_MESSAGE_LENGTH} characters."
    elif _UNSPEAKABLE.search(message):
        problem = "A message has no control characters and no line breaks."
    elif _MARKUP.search(message):
        problem = "A message is plain text without SSML: it has no < and no >."
    elif message.count(CODE) > MAX_CODES_IN_MESSAGE:
        problem = f"A message has {CODE} at most twice."
    else:
        return
    raise InvalidRequest.in_field("message", problem)


def _render_message(message: str, paused: str, shown: str, language: Language) -> Speech:
    check_message(message)
    pieces = message.split(CODE) if CODE in message else [message, ""]
    ssml, text = [language.opening], []
    for index, piece in enumerate(pieces):
        after_code, before_code = index > 0, index < len(pieces) - 1
        first, last = _first_heard(piece), _first_heard(reversed(piece))
        said = piece
        if after_code and first.isnumeric():
            said = f"; {said.lstrip()}"
        # Where nothing is heard between two codes, these are the two numbers to part.
        if before_code and (last.isnumeric() or (after_code and not last)):
            said = f"{said.rstrip()}; "
        # A letter that touches a digit would be read as one word with it.
        if after_code and said[:1].isalnum():
            said = f" {said}"
        if before_code and said[-1:].isalnum():
            said = f"{said} "
        ssml.append(_escape(said))
        text.append(said)
        if before_code:
            ssml += [CODE_PAUSE, paused, CODE_PAUSE]
            text.append(shown)
    ssml.append(language.closing)
    payload = "".join(ssml)
    if len(payload) > MAX_SSML_LENGTH:
        raise InvalidRequest.in_field("message", "The message is too long to be spoken with its pauses.")
    return Speech(payload, language.voice, language.tag, "".join(text).strip())


def _first_heard(characters: Iterable[str]) -> str:
    """The first of `characters` that a listener would notice: of a word or a number, or a mark that parts; or ""."""
    return next((each for each in characters if each.isalnum() or each in _PARTING_MARKS), "")


def _paused(code: str) -> str:
    groups, start = [], 0
    for size in GROUP_SIZES[len(code)]:
        groups.append(DIGIT_PAUSE.join(code[start : start + size]))
        start += size
    return GROUP_PAUSE.join(groups)


# One brand and a few languages: built once, then two joins a call.
@lru_cache(maxsize=64)
def _frames(language: Language, brand: str) -> tuple[_Frame, _Frame]:
    greeting = language.greeting.replace(BRAND, _speakable(brand))
    introduction, again = language.code_introduction, language.repeat_introduction
    text = _Frame(f"{greeting} {introduction} ", f". {again} ", f". {language.hear_again} {language.goodbye}")
    # A sentence that ends in digits ends in a tag: with a full stop German would read the last one as an ordinal.
    ssml = _Frame(
        f"{language.opening}<s>{_escape(greeting)}</s> <s>{_escape(introduction)} ",
        f"</s>{CODE_PAUSE} <s>{_escape(again)} ",
        f"</s> <s>{_escape(language.hear_again)}</s> <s>{_escape(language.goodbye)}</s>{language.closing}",
    )
    return ssml, text


def _speakable(brand: str) -> str:
    spoken = " ".join(_UNSPEAKABLE.sub(" ", brand).split())
    if not 1 <= len(spoken) <= MAX_BRAND_LENGTH:
        raise ValueError(f"a brand has 1 to {MAX_BRAND_LENGTH} characters")
    return spoken


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)
