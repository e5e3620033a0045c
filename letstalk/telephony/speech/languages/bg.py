"""Bulgarian. No sentence ends with the brand, because a number before a full stop can be an ordinal.

The word "е" ("is") does not stand before the code, because "едно" ("one") starts with it.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="bg-BG",
    name="Bulgarian",
    own_name="Български",
    greeting="Здравейте, {brand} Ви се обажда.",
    code_introduction="Вашият код за потвърждение:",
    repeat_introduction="Повтарям:",
    hear_again="За да го чуете отново, натиснете едно.",
    goodbye="Дочуване.",
    offer="Здравейте, {brand} Ви се обажда с Вашия код. За да го чуете, натиснете едно.",
)
