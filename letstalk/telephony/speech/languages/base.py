"""What a language provides: its countries and the sentences of a call."""

from __future__ import annotations

from dataclasses import dataclass

BRAND = "{brand}"


@dataclass(frozen=True, slots=True)
class Language:
    """One language and the sentences of a call, phrased as a polite bank would phrase them.

    `tag` is BCP 47 ("en-US"). `regions` are the ISO 3166 countries whose phones get this language when the request
    names no locale.

    `greeting` and `offer` contain the caller's name as `{brand}`. `code_introduction` and `repeat_introduction` come
    before the digits, `hear_again` after them. A word next to the code must not sound like a number ("to", "for",
    "दो"). `offer` announces the code and says how to hear it. Keys are spelled as words, so that the code's digits are
    the only digits in a speech. Raises ValueError for a phrase that breaks these rules.
    """

    tag: str
    regions: frozenset[str]
    greeting: str
    code_introduction: str
    repeat_introduction: str
    hear_again: str
    goodbye: str
    offer: str
    right_to_left: bool = False

    def __post_init__(self) -> None:
        for phrase in self.phrases:
            if any(character.isnumeric() and not character.isalpha() for character in phrase):
                raise ValueError(f"{self.tag}: spell the number as a word in {phrase!r}")
            if phrase.count(BRAND) != (phrase in (self.greeting, self.offer)):
                raise ValueError(f"{self.tag}: use {BRAND} once in greeting and in offer, and nowhere else: {phrase!r}")
            if not any(character.isalpha() for character in phrase.replace(BRAND, "")):
                raise ValueError(f"{self.tag}: {phrase!r} has no word to separate two numbers")

    @property
    def primary(self) -> str:
        """The language of the tag without its country: "en" for "en-US"."""
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
    """The ISO 3166 codes in a text that separates them with spaces, which is easier to edit than a set of strings."""
    return frozenset(codes.split())
