"""Portuguese of Brazil."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="pt-BR",
    name="Portuguese (Brazil)",
    own_name="Português (Brasil)",
    greeting="Olá, esta é uma chamada de {brand}.",
    code_introduction="O seu código é:",
    repeat_introduction="Repito:",
    hear_again="Para repetir, pressione um.",
    goodbye="Até logo.",
    offer="Olá, esta é uma chamada de {brand} com o seu código. Para ouvi-lo, pressione a tecla um.",
)
