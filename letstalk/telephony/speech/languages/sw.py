"""Swahili: Kenya and Tanzania."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="sw-KE",
    name="Swahili",
    greeting="Habari, hii ni simu kutoka {brand}.",
    code_introduction="Msimbo wako ni:",
    repeat_introduction="Narudia:",
    hear_again="Ili kusikia tena, bonyeza moja.",
    goodbye="Kwaheri.",
    offer="Habari, hii ni simu kutoka {brand} yenye msimbo wako. Ili kuusikia, bonyeza moja.",
)
