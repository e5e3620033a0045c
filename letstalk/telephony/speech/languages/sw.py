"""Swahili: Kenya and Tanzania.

The word "ni" ("is") does not stand before the code, because it resembles four ("nne").
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="sw-KE",
    name="Swahili",
    own_name="Kiswahili",
    greeting="Habari, hii ni simu kutoka {brand}.",
    code_introduction="Msimbo wako ni huu:",
    repeat_introduction="Narudia:",
    hear_again="Ili kusikia tena, bonyeza moja.",
    goodbye="Kwaheri.",
    offer="Habari, hii ni simu kutoka {brand} yenye msimbo wako. Ili kuusikia, bonyeza moja.",
)
