"""Swahili: Kenya and Tanzania.

It is also an official language of Uganda, but schools and banks there use English.
"""

from letstalk.telephony.speech.languages import Language, countries

LANGUAGE = Language(
    tag="sw-KE",
    regions=countries("KE TZ"),
    greeting="Habari, hii ni simu kutoka {brand}.",
    code_introduction="Msimbo wako ni:",
    repeat_introduction="Narudia:",
    hear_again="Ili kusikia tena, bonyeza moja.",
    goodbye="Kwaheri.",
    offer="Habari, hii ni simu kutoka {brand} yenye msimbo wako. Ili kuusikia, bonyeza moja.",
)
