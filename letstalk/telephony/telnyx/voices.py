"""The voice and the language code with which Telnyx speaks each of our languages.

Where Polly has a neural voice, it is used. Telnyx also offers Azure, which has voices for the others.
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
    "af-ZA": _azure_voice("af-ZA", "af-ZA-AdriNeural", None),
    "am-ET": _azure_voice("am-ET", "am-ET-MekdesNeural", None),
    "ar-AE": Voice("AWS.Polly.Hala-Neural", "arb"),
    "bg-BG": _azure_voice("bg-BG", "bg-BG-KalinaNeural", None),
    "bn-BD": _azure_voice("bn-BD", "bn-BD-NabanitaNeural", None),
    "ca-ES": Voice("AWS.Polly.Arlet-Neural", None),
    "cs-CZ": Voice("AWS.Polly.Jitka-Neural", None),
    "da-DK": Voice("AWS.Polly.Sofie-Neural", "da-DK"),
    "de-DE": Voice("AWS.Polly.Vicki-Neural", "de-DE"),
    "el-GR": _azure_voice("el-GR", "el-GR-AthinaNeural", None),
    "en-GB": Voice("AWS.Polly.Amy-Neural", "en-GB"),
    "en-US": Voice("AWS.Polly.Joanna-Neural", "en-US"),
    "es-ES": Voice("AWS.Polly.Lucia-Neural", "es-ES"),
    "es-MX": Voice("AWS.Polly.Mia-Neural", "es-MX"),
    "es-US": Voice("AWS.Polly.Lupe-Neural", "es-US"),
    "fa-IR": _azure_voice("fa-IR", "fa-IR-DilaraNeural", None),
    "fi-FI": Voice("AWS.Polly.Suvi-Neural", None),
    "fil-PH": _azure_voice("fil-PH", "fil-PH-BlessicaNeural", None),
    "fr-CA": Voice("AWS.Polly.Gabrielle-Neural", "fr-CA"),
    "fr-FR": Voice("AWS.Polly.Lea-Neural", "fr-FR"),
    "he-IL": _azure_voice("he-IL", "he-IL-HilaNeural", None),
    # Kajal speaks Indian English by default, and Telnyx does not pass the language to Polly. Without the `lang` tag
    # the voice would read the digits in English.
    "hi-IN": Voice("AWS.Polly.Kajal-Neural", "hi-IN", '<speak><lang xml:lang="hi-IN">', "</lang></speak>"),
    "hr-HR": _azure_voice("hr-HR", "hr-HR-GabrijelaNeural", None),
    "hu-HU": _azure_voice("hu-HU", "hu-HU-NoemiNeural", None),
    "id-ID": _azure_voice("id-ID", "id-ID-GadisNeural", None),
    "it-IT": Voice("AWS.Polly.Bianca-Neural", "it-IT"),
    "ja-JP": Voice("AWS.Polly.Kazuha-Neural", "ja-JP"),
    "ko-KR": Voice("AWS.Polly.Seoyeon-Neural", "ko-KR"),
    "mr-IN": _azure_voice("mr-IN", "mr-IN-AarohiNeural", None),
    "ms-MY": _azure_voice("ms-MY", "ms-MY-YasminNeural", None),
    "nb-NO": Voice("AWS.Polly.Ida-Neural", "nb-NO"),
    "nl-NL": Voice("AWS.Polly.Laura-Neural", "nl-NL"),
    "pa-IN": _azure_voice("pa-IN", "pa-IN-VaaniNeural", None),
    "pl-PL": Voice("AWS.Polly.Ola-Neural", "pl-PL"),
    "pt-BR": Voice("AWS.Polly.Camila-Neural", "pt-BR"),
    "pt-PT": Voice("AWS.Polly.Ines-Neural", "pt-PT"),
    "ro-RO": _azure_voice("ro-RO", "ro-RO-AlinaNeural", "ro-RO"),
    "ru-RU": _azure_voice("ru-RU", "ru-RU-SvetlanaNeural", "ru-RU"),
    "sk-SK": _azure_voice("sk-SK", "sk-SK-ViktoriaNeural", None),
    "so-SO": _azure_voice("so-SO", "so-SO-UbaxNeural", None),
    "sr-RS": _azure_voice("sr-RS", "sr-RS-SophieNeural", None),
    "sv-SE": Voice("AWS.Polly.Elin-Neural", "sv-SE"),
    "sw-KE": _azure_voice("sw-KE", "sw-KE-ZuriNeural", None),
    "ta-IN": _azure_voice("ta-IN", "ta-IN-PallaviNeural", None),
    "te-IN": _azure_voice("te-IN", "te-IN-ShrutiNeural", None),
    "th-TH": _azure_voice("th-TH", "th-TH-PremwadeeNeural", None),
    "tr-TR": Voice("AWS.Polly.Burcu-Neural", "tr-TR"),
    "uk-UA": _azure_voice("uk-UA", "uk-UA-PolinaNeural", None),
    "ur-PK": _azure_voice("ur-PK", "ur-PK-UzmaNeural", None),
    "vi-VN": _azure_voice("vi-VN", "vi-VN-HoaiMyNeural", None),
    "zh-CN": Voice("AWS.Polly.Zhiyu-Neural", "cmn-CN"),
    "zh-HK": Voice("AWS.Polly.Hiujin-Neural", None),
    "zh-TW": _azure_voice("zh-TW", "zh-TW-HsiaoChenNeural", None),
    "zu-ZA": _azure_voice("zu-ZA", "zu-ZA-ThandoNeural", None),
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
