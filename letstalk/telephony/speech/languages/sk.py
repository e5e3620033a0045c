"""Slovak. No sentence ends with the brand, because a number before a full stop is an ordinal.

The word "je" ("is") does not stand before the code, because "jeden" ("one") starts with it.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="sk-SK",
    name="Slovak",
    own_name="Slovenčina",
    greeting="Dobrý deň, {brand} vám volá s overovacím kódom.",
    code_introduction="Váš kód:",
    repeat_introduction="Opakujem:",
    hear_again="Na zopakovanie stlačte jednotku.",
    goodbye="Dopočutia.",
    offer="Dobrý deň, {brand} vám volá s overovacím kódom. Ak si ho chcete vypočuť, stlačte jednotku.",
)
