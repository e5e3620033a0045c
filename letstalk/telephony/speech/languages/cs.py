"""Czech. No sentence ends with the brand, because a number before a full stop is an ordinal.

The word "je" ("is") does not stand before the code, because "jedna" ("one") starts with it.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="cs-CZ",
    name="Czech",
    own_name="Čeština",
    greeting="Dobrý den, {brand} vám volá s ověřovacím kódem.",
    code_introduction="Váš kód:",
    repeat_introduction="Opakuji:",
    hear_again="Pro zopakování stiskněte jedničku.",
    goodbye="Na shledanou.",
    offer="Dobrý den, {brand} vám volá s ověřovacím kódem. Chcete-li ho slyšet, stiskněte jedničku.",
)
