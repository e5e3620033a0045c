"""The voice and the language code with which Telnyx speaks each of our languages.

Where Polly has a neural voice, it is used. Telnyx also offers Azure, which has the voice for Swahili.
"""

from __future__ import annotations

from dataclasses import dataclass

from letstalk.telephony.provider import CallRefused
from letstalk.telephony.speech.scripts import Speech


@dataclass(frozen=True, slots=True)
class Voice:
    """`name` and `language` are Telnyx's. `language` is None for a language that Telnyx has no code for.

    `opening` and `closing` are the root element and the tags around the speech that the voice's vendor requires.
    """

    name: str
    language: str | None
    opening: str = "<speak>"
    closing: str = "</speak>"

    def payload_of(self, speech: Speech) -> str:
        return f"{self.opening}{speech.ssml}{self.closing}"


def _azure_voice(tag: str, name: str, language: str | None) -> Voice:
    """Azure requires a version, a namespace and the voice in every document."""
    namespace = "http://www.w3.org/2001/10/synthesis"
    opening = f'<speak version="1.0" xmlns="{namespace}" xml:lang="{tag}"><voice name="{name}">'
    return Voice(f"Azure.{name}", language, opening, "</voice></speak>")


# By the tag of the language in speech/languages.
VOICES: dict[str, Voice] = {
    "ar-AE": Voice("AWS.Polly.Hala-Neural", "arb"),
    "de-DE": Voice("AWS.Polly.Vicki-Neural", "de-DE"),
    "en-US": Voice("AWS.Polly.Joanna-Neural", "en-US"),
    "es-US": Voice("AWS.Polly.Lupe-Neural", "es-US"),
    "fr-FR": Voice("AWS.Polly.Lea-Neural", "fr-FR"),
    # Kajal speaks Indian English by default, and Telnyx does not pass the language to Polly. Without the `lang` tag
    # the voice would read the digits in English.
    "hi-IN": Voice("AWS.Polly.Kajal-Neural", "hi-IN", '<speak><lang xml:lang="hi-IN">', "</lang></speak>"),
    "pt-BR": Voice("AWS.Polly.Camila-Neural", "pt-BR"),
    "sw-KE": _azure_voice("sw-KE", "sw-KE-ZuriNeural", None),
}


def voice_for(tag: str) -> Voice:
    """The voice for the language `tag`. Raises CallRefused for a language without one."""
    voice = VOICES.get(tag)
    if voice is None:
        raise CallRefused(f"Telnyx has no voice for the language {tag}.")
    return voice


def plain_voice_for(voice: Voice) -> Voice | None:
    """A voice of Telnyx's own for the same language, which every account may use. None where there is none."""
    return None if voice.language is None else Voice("female", voice.language)
