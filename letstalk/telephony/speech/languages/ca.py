"""Catalan, with the polite third person. Andorra, and Spain where the request asks for it.

A key is named "el número u": "la tecla u" would also be the key with the letter U.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="ca-ES",
    name="Catalan",
    own_name="Català",
    greeting="Hola, li truca {brand}.",
    code_introduction="El seu codi és:",
    repeat_introduction="Repeteixo:",
    hear_again="Per repetir, premi el número u.",
    goodbye="A reveure.",
    offer="Hola, {brand} li truca per donar-li el seu codi. Per escoltar-lo, premi el número u.",
)
