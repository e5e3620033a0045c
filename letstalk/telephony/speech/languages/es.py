"""Spanish: Spain, Andorra, Latin America, Puerto Rico and Equatorial Guinea.

American Spanish is understood in all of them, and so is "presione", although people in Spain would say "pulse".
"""

from letstalk.telephony.speech.languages import Language, countries

LANGUAGE = Language(
    tag="es-US",
    regions=countries("ES AD AR BO CL CO CR CU DO EC GQ GT HN MX NI PA PE PR PY SV UY VE"),
    greeting="Hola, le llama {brand}.",
    code_introduction="Su código es:",
    repeat_introduction="Repito:",
    hear_again="Para repetir, presione uno.",
    goodbye="Hasta luego.",
    offer="Hola, {brand} le llama para darle su código. Para escucharlo, presione uno.",
)
