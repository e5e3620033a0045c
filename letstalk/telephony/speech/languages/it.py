"""Italian, with the polite third person."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="it-IT",
    name="Italian",
    own_name="Italiano",
    greeting="Buongiorno, questa è una chiamata da {brand}.",
    code_introduction="Il suo codice è:",
    repeat_introduction="Ripeto:",
    hear_again="Per riascoltarlo, prema il tasto uno.",
    goodbye="Arrivederci.",
    offer="Buongiorno, questa è una chiamata da {brand} con il suo codice. Per ascoltarlo, prema il tasto uno.",
)
