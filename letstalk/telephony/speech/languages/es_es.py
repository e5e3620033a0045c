"""Spanish of Spain: Spain, Andorra and Equatorial Guinea. A key is pressed with "pulse"."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="es-ES",
    name="Spanish (Spain)",
    own_name="Español (España)",
    greeting="Hola, le llama {brand}.",
    code_introduction="Su código es:",
    repeat_introduction="Repito:",
    hear_again="Para repetir, pulse uno.",
    goodbye="Hasta luego.",
    offer="Hola, {brand} le llama para darle su código. Para escucharlo, pulse uno.",
)
