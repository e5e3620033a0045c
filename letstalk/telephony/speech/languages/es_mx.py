"""Spanish of Mexico. A key is pressed with "marque"."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="es-MX",
    name="Spanish (Mexico)",
    own_name="Español (México)",
    greeting="Hola, le llama {brand}.",
    code_introduction="Su código es:",
    repeat_introduction="Repito:",
    hear_again="Para repetir, marque uno.",
    goodbye="Hasta luego.",
    offer="Hola, {brand} le llama para darle su código. Para escucharlo, marque uno.",
)
