"""Swahili: Kenya and Tanzania. Uganda has it as an official language too, but schools and banks there use English.

Polly does not speak it; Azure, which Telnyx offers as well, does.
"""

from letstalk.telephony.speech.languages.base import Language, azure_frame, countries

OPENING, CLOSING = azure_frame("sw-KE", "sw-KE-ZuriNeural")

LANGUAGE = Language(
    tag="sw-KE",
    voice="Azure.sw-KE-ZuriNeural",
    regions=countries("KE TZ"),
    greeting="Habari, hii ni simu kutoka {brand}.",
    code_introduction="Msimbo wako ni:",
    repeat_introduction="Narudia:",
    hear_again="Ili kusikia tena, bonyeza moja.",
    goodbye="Kwaheri.",
    offer="Habari, hii ni simu kutoka {brand} yenye msimbo wako. Ili kuusikia, bonyeza moja.",
    opening=OPENING,
    closing=CLOSING,
)
