"""Somali. The words after the code do not start with "si" ("to"), because eight ("siddeed") starts with it."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="so-SO",
    name="Somali",
    own_name="Soomaali",
    greeting="Salaan, kani waa wicitaan ka yimid {brand}.",
    code_introduction="Koodkaagu waa:",
    repeat_introduction="Waan ku celinayaa:",
    hear_again="Riix lambarka kow si aad mar kale u maqasho.",
    goodbye="Nabad gelyo.",
    offer="Salaan, kani waa wicitaan ka yimid {brand} oo ku saabsan koodkaaga. Riix lambarka kow si aad u maqasho.",
)
