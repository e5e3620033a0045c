"""Danish. No sentence ends with the brand, because a number before a full stop is an ordinal.

The phrase "en gang til" is not used before the code, because it starts with "one".
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="da-DK",
    name="Danish",
    own_name="Dansk",
    greeting="Goddag, {brand} ringer til dig.",
    code_introduction="Din kode er:",
    repeat_introduction="Jeg gentager:",
    hear_again="Tast et for at høre koden igen.",
    goodbye="Farvel.",
    offer="Goddag, {brand} ringer med din kode. Tast et for at høre den.",
)
