"""Catalan, with the polite third person. Andorra, and Spain where the request asks for it."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="ca-ES",
    name="Catalan",
    greeting="Hola, li truca {brand}.",
    code_introduction="El seu codi és:",
    repeat_introduction="Repeteixo:",
    hear_again="Per repetir, premi la tecla u.",
    goodbye="A reveure.",
    offer="Hola, {brand} li truca per donar-li el seu codi. Per escoltar-lo, premi la tecla u.",
)
