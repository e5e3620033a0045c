"""Spanish of Latin America, for every country with Spanish that has no variant of its own here."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="es-US",
    name="Spanish (Latin America)",
    own_name="Español (Latinoamérica)",
    greeting="Hola, le llama {brand}.",
    code_introduction="Su código es:",
    repeat_introduction="Repito:",
    hear_again="Para repetir, presione uno.",
    goodbye="Hasta luego.",
    offer="Hola, {brand} le llama para darle su código. Para escucharlo, presione uno.",
)
