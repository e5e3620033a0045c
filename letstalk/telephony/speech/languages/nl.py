"""Dutch, with the polite "u".

The phrase "nog een keer" is not used before the code, because it contains the word for "one".
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="nl-NL",
    name="Dutch",
    own_name="Nederlands",
    greeting="Goedendag, u wordt gebeld door {brand}.",
    code_introduction="Uw code is:",
    repeat_introduction="Ik herhaal:",
    hear_again="Om de code opnieuw te horen, toetst u één.",
    goodbye="Tot ziens.",
    offer="Goedendag, {brand} belt u met uw code. Om de code te horen, toetst u één.",
)
