"""What the called person hears: SSML for the voice, and the same words as plain text.

A code is read digit by digit in groups of three or four, with pauses long enough to write it down. Only spaces and
`<break>` tags separate its digits, and no other number comes directly before or after them. Where a message would put
a number next to the code, a semicolon and a pause separate the two. The default sentences have words between the code
and the brand. Only `<s>` and `<break>` are used, which all neural voices of Polly and Azure support. `<prosody>` is not
used, because pauses make digits clearer on a telephone line than slower speech does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from letstalk.core.errors import InvalidRequest
from letstalk.telephony.speech.languages import BRAND, Language, choose_language
from letstalk.telephony.speech.letters import alphabet_of

CODE = "{code}"
# Telnyx accepts 3,000 characters. The rest is for the root element and the tags that a provider adds.
MAX_SSML_LENGTH = 2800
MAX_MESSAGE_LENGTH = 300
MAX_CODES_IN_MESSAGE = 2
MAX_BRAND_LENGTH = 128  # Telnyx's limit for the displayed name
# The codes of others may be shorter than ours.
GROUP_SIZES = {4: (2, 2), 5: (2, 3), 6: (3, 3), 7: (3, 4), 8: (4, 4), 9: (3, 3, 3), 10: (3, 3, 4)}

DIGIT_PAUSE = ' <break time="250ms"/>'
GROUP_PAUSE = ' <break time="500ms"/>'
CODE_PAUSE = '<break time="500ms"/>'

# An average of the languages that are spoken. Only the simulator uses it.
CHARACTERS_PER_SECOND = 18
SECONDS_PER_DIGIT = 0.3

# Control characters (Cc), surrogates (Cs) and the two code points that XML forbids.
_UNSPEAKABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_MARKUP = re.compile("[<>]")
_BREAK = re.compile(r'<break time="(\d+)ms"/>')
_DIGITS = re.compile(r"\d")

# What other systems write for the code. Except for CODE itself, it would be read aloud. Braces are in no sentence.
_CODE_NAMES = r"(?:verification[ _-]?)?(?:code|otp|pin|token|passcode)"
_PLACEHOLDER = re.compile(
    r"\{+[^{}]*\}+|[{}]"  # {{code}}, {CODE}, ${code}
    r"|(?<!\d)%\(?[A-Za-z_]\w*\)?[a-z]?%?"  # %token, %s, %(code)s, but not "5%ige"
    rf"|\$+{_CODE_NAMES}\b|\[+\s*{_CODE_NAMES}\s*\]+|(?<!\S)[:@#_]+{_CODE_NAMES}\b[#_:]*",
    re.IGNORECASE,
)

# Spoken as a pause. A comma or a full stop is not in the list, because each can be part of a number.
_SEPARATING_MARKS = frozenset(":;!?؛؟")

# Keep the digits in order in text that runs from right to left.
_ISOLATE, _END_OF_ISOLATE = "\u2066", "\u2069"

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True)
class Speech:
    """What to say, in `language` (BCP 47).

    `ssml` is at most 2,800 characters, without a root element: the provider adds the one that its voice requires.
    `text` is the same without tags. Both contain the `code` (None: there is none), so they are for the called person
    only.
    """

    ssml: str
    language: str
    text: str
    code: str | None = None

    @property
    def seconds(self) -> float:
        """The estimated duration at a normal rate, accurate to a few seconds. For the simulator."""
        pauses_ms = sum(map(int, _BREAK.findall(self.ssml)))
        words, digits = _DIGITS.subn("", self.text)
        spoken_characters = len(" ".join(words.split()))
        return pauses_ms / 1000 + digits * SECONDS_PER_DIGIT + spoken_characters / CHARACTERS_PER_SECOND

    def __repr__(self) -> str:
        return f"Speech(language={self.language!r})"  # a traceback must not show the code


class _Frame(NamedTuple):
    """The text before, between and after the two readings of a code."""

    before: str
    between: str
    after: str

    def around(self, code: str) -> str:
        return f"{self.before}{code}{self.between}{code}{self.after}"


def render_code(code: str, *, brand: str, locale: str | None, region: str | None, message: str | None = None) -> Speech:
    """The speech that says `code` twice, with the name `brand`, or that says `message`.

    `code` is 4 to 10 digits and letters from A to Z. A letter is spelled in the way of the language: "B as in Bravo".

    `locale` and `region` (ISO 3166 of the phone) select the language as in `choose_language`. Each `{code}` in
    `message` is replaced by the digits. If there is none, the digits follow the message. If there is only one, the
    digits are read a second time at the end, after a word for "again". Nothing else is added.
    Raises InvalidRequest for an invalid locale or message, and ValueError for a code or brand that cannot be spoken.
    """
    if not (code.isascii() and code.isalnum() and len(code) in GROUP_SIZES):
        raise ValueError("a code is 4 to 10 digits and letters")
    language = choose_language(locale, region)
    said = _spell(code, language)
    shown = " ".join(said) if code.isdigit() else ", ".join(said)
    if language.right_to_left:
        shown = f"{_ISOLATE}{shown}{_END_OF_ISOLATE}"
    if message is not None:
        ssml, text = _render_message(message, _paused(said), shown, language)
        return Speech(ssml, language.tag, text, code)
    frame, words = _frames(language, brand)
    return Speech(frame.around(_paused(said)), language.tag, words.around(shown), code)


def ensure_speakable(
    code: str, *, brand: str, locale: str | None, region: str | None, message: str | None, may_fall_back: bool = True
) -> None:
    """Raises what `render_code` would raise for the same arguments, and without `may_fall_back` InvalidRequest for a
    locale that is not spoken.
    """
    language = choose_language(locale, region, may_fall_back=may_fall_back)
    if message is None:
        _frames(language, brand)  # every frame leaves room for the longest code
    else:
        render_code(code, brand=brand, locale=locale, region=region, message=message)


def choose_brand(brand: str | None, usual: str, others: frozenset[str]) -> str | None:
    """The name to say instead of the `usual` one; None for that. `others` are those that a request may choose.

    Raises InvalidRequest for any other name: a call says no text of the caller's.
    """
    if brand is None or brand == usual:
        return None
    if brand not in others:
        sentence = "brand must be one of the names that the operator of this service allows (BRAND_NAMES)."
        raise InvalidRequest.in_field("brand", sentence)
    return brand


def render_offer(*, brand: str, locale: str | None, region: str | None) -> Speech:
    """The speech that says who is calling and that key 1 reads the code. It does not contain the code.

    Raises InvalidRequest for a malformed locale, and ValueError for a brand that cannot be spoken.
    """
    language = choose_language(locale, region)
    text = language.offer.replace(BRAND, _speakable(brand))
    return Speech(_escape(text), language.tag, text)


def ensure_message(message: str) -> None:
    """Raises InvalidRequest (field `message`) for a message that cannot be spoken with a code."""
    if not 1 <= len(message) <= MAX_MESSAGE_LENGTH:
        problem = f"A message has 1 to {MAX_MESSAGE_LENGTH} characters."
    elif _UNSPEAKABLE.search(message):
        problem = "A message has no control characters and no line breaks."
    elif _MARKUP.search(message):
        problem = "A message is plain text without SSML: it has no < and no >."
    elif message.count(CODE) > MAX_CODES_IN_MESSAGE:
        problem = f"A message has {CODE} at most twice."
    elif placeholder := find_placeholder(message):
        problem = f"{placeholder} is not replaced. Write {CODE} where the code is to be spoken."
    else:
        return
    raise InvalidRequest.in_field("message", problem)


def find_placeholder(message: str) -> str | None:
    """The first text in `message` that looks like a placeholder of another system and is not `{code}`."""
    return next((found[0] for found in _PLACEHOLDER.finditer(message) if found[0] != CODE), None)


def _render_message(message: str, paused: str, shown: str, language: Language) -> tuple[str, str]:
    """The SSML and the text. Raises InvalidRequest."""
    ensure_message(message)
    pieces = message.split(CODE) if CODE in message else [message, ""]
    if len(pieces) == 2:
        rest = pieces[1].rstrip()
        ending = "" if rest[-1:] and unicodedata.category(rest[-1]) == "Po" else "."
        pieces[1:] = [f"{rest}{ending} {language.repeat_introduction} ", ""]
    ssml: list[str] = []
    text: list[str] = []
    for index, piece in enumerate(pieces):
        after_code, before_code = index > 0, index < len(pieces) - 1
        first, last = _first_spoken(piece), _first_spoken(reversed(piece))
        said = piece
        if after_code and first.isnumeric():
            said = f"; {said.lstrip()}"
        # If nothing is spoken between two codes, the codes themselves are the two numbers to separate.
        if before_code and (last.isnumeric() or (after_code and not last)):
            said = f"{said.rstrip()}; "
        # A voice reads a letter and an adjacent digit as one word.
        if after_code and said[:1].isalnum():
            said = f" {said}"
        if before_code and said[-1:].isalnum():
            said = f"{said} "
        ssml.append(_escape(said))
        text.append(said)
        if before_code:
            ssml += [CODE_PAUSE, paused, CODE_PAUSE]
            text.append(shown)
    joined = "".join(ssml)
    if len(joined) > MAX_SSML_LENGTH:
        raise InvalidRequest.in_field("message", "The message is too long to be spoken with its pauses.")
    return joined, "".join(text).strip()


def _first_spoken(characters: Iterable[str]) -> str:
    """The first of `characters` that is spoken or that separates numbers: a letter, a digit or a mark. "" if none."""
    return next((each for each in characters if each.isalnum() or each in _SEPARATING_MARKS), "")


def _spell(code: str, language: Language) -> tuple[str, ...]:
    alphabet = alphabet_of(language.primary)
    return tuple(each if each.isdigit() else alphabet.spell(each) for each in code)


def pauses_ms(length: int) -> tuple[int, ...]:
    """The pause after each digit of a code of `length` digits, in milliseconds."""
    read = f"{_paused('0' * length)}{CODE_PAUSE}"
    return tuple(map(int, _BREAK.findall(read)))


def _paused(said: Sequence[str]) -> str:
    groups, start = [], 0
    for size in GROUP_SIZES[len(said)]:
        groups.append(DIGIT_PAUSE.join(map(_escape, said[start : start + size])))
        start += size
    return GROUP_PAUSE.join(groups)


# There are few brands and languages, so nearly every call uses a cached frame.
@lru_cache(maxsize=256)
def _frames(language: Language, brand: str) -> tuple[_Frame, _Frame]:
    greeting = language.greeting.replace(BRAND, _speakable(brand))
    introduction, again = language.code_introduction, language.repeat_introduction
    text = _Frame(f"{greeting} {introduction} ", f". {again} ", f". {language.hear_again} {language.goodbye}")
    # A tag ends a sentence whose last word is a digit: with a full stop, German voices read the digit as an ordinal.
    ssml = _Frame(
        f"<s>{_escape(greeting)}</s> <s>{_escape(introduction)} ",
        f"</s>{CODE_PAUSE} <s>{_escape(again)} ",
        f"</s> <s>{_escape(language.hear_again)}</s> <s>{_escape(language.goodbye)}</s>",
    )
    return ssml, text


def _speakable(brand: str) -> str:
    spoken = " ".join(_UNSPEAKABLE.sub(" ", brand).split())
    if not 1 <= len(spoken) <= MAX_BRAND_LENGTH:
        raise ValueError(f"a brand has 1 to {MAX_BRAND_LENGTH} characters")
    return spoken


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)
