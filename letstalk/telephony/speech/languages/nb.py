"""Norwegian (Bokmål). No sentence ends with the brand, because a number before a full stop is an ordinal.

The phrase "en gang til" is not used before the code, because it starts with "one".
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="nb-NO",
    name="Norwegian",
    own_name="Norsk bokmål",
    greeting="Hei, {brand} ringer deg.",
    code_introduction="Koden din er:",
    repeat_introduction="Jeg gjentar:",
    hear_again="Tast én for å høre koden igjen.",
    goodbye="Ha det bra.",
    offer="Hei, {brand} ringer med koden din. Tast én for å høre den.",
    also=frozenset(["no", "nn"]),
)
