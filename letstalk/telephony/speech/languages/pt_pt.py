"""Portuguese of Portugal, for Africa and Asia too. A key is pressed with "prima".

The phrase "de novo" ("again") is not used, because it resembles nine ("nove").
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="pt-PT",
    name="Portuguese (Portugal)",
    own_name="Português (Portugal)",
    greeting="Olá, esta é uma chamada de {brand}.",
    code_introduction="O seu código é:",
    repeat_introduction="Repito:",
    hear_again="Para repetir, prima a tecla um.",
    goodbye="Até logo.",
    offer="Olá, esta é uma chamada de {brand} com o seu código. Para o ouvir, prima a tecla um.",
)
