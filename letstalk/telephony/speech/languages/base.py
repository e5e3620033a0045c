"""What a language has to say on a call."""

from __future__ import annotations

from dataclasses import dataclass

BRAND = "{brand}"


@dataclass(frozen=True, slots=True)
class Language:
    """One language: the voice that speaks it and the sentences of a call, in the words of a polite bank.

    `tag` is BCP 47 ("en-US"). `voice` is Telnyx's name of the voice. `regions` are the ISO 3166 countries whose
    phones get this language when the caller names none. `opening` and `closing` frame a payload as the voice's
    vendor wants it.

    `greeting` and `offer` name the caller as `{brand}`. `code_introduction` and `repeat_introduction` stand before
    the digits, `hear_again` after them: a sentence must not put a word next to the code that sounds like a number
    ("to", "for", "दो"). `offer` promises the code and says how to hear it. Keys are spelled as words, so that the
    only digits of a payload are those of the code. Raises ValueError for a phrase that breaks these rules.
    """

    tag: str
    voice: str
    regions: frozenset[str]
    greeting: str
    code_introduction: str
    repeat_introduction: str
    hear_again: str
    goodbye: str
    offer: str
    opening: str = "<speak>"
    closing: str = "</speak>"
    right_to_left: bool = False

    def __post_init__(self) -> None:
        for phrase in self.phrases:
            if any(character.isnumeric() and not character.isalpha() for character in phrase):
                raise ValueError(f"{self.tag}: spell the number as a word in {phrase!r}")
            if phrase.count(BRAND) != (phrase in (self.greeting, self.offer)):
                raise ValueError(f"{self.tag}: the brand belongs once into greeting and offer, not so in {phrase!r}")
            if not any(character.isalpha() for character in phrase.replace(BRAND, "")):
                raise ValueError(f"{self.tag}: {phrase!r} has no word that could part two numbers")

    @property
    def primary(self) -> str:
        """The tag's language without its country: "en" of "en-US"."""
        return self.tag.partition("-")[0].lower()

    @property
    def phrases(self) -> tuple[str, ...]:
        return (
            self.greeting,
            self.code_introduction,
            self.repeat_introduction,
            self.hear_again,
            self.goodbye,
            self.offer,
        )


def countries(codes: str) -> frozenset[str]:
    """The ISO 3166 codes of a text that parts them by spaces: easier to read and to change than a set of strings."""
    return frozenset(codes.split())


def azure_frame(tag: str, voice_name: str) -> tuple[str, str]:
    """The opening and the closing that Azure demands of every document: a version, a name space and the voice."""
    name_space = "http://www.w3.org/2001/10/synthesis"
    opening = f'<speak version="1.0" xmlns="{name_space}" xml:lang="{tag}"><voice name="{voice_name}">'
    return opening, "</voice></speak>"
