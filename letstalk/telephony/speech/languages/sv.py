"""Swedish. The phrase "en gång till" is not used before the code, because it starts with a word for "one"."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="sv-SE",
    name="Swedish",
    own_name="Svenska",
    greeting="Hej, det här är ett samtal från {brand}.",
    code_introduction="Din kod är:",
    repeat_introduction="Jag upprepar:",
    hear_again="Tryck ett för att höra koden igen.",
    goodbye="Hej då.",
    offer="Hej, det här är ett samtal från {brand} med din kod. Tryck ett för att höra den.",
)
