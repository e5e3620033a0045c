"""Portuguese: Brazil, Portugal, and the countries of Africa and Asia that have it as their official language.

The words are common to Brazil and Portugal. Macau gets English, because few people there speak Portuguese.
"""

from letstalk.telephony.speech.languages import Language, countries

LANGUAGE = Language(
    tag="pt-BR",
    regions=countries("BR PT AO CV GW MZ ST TL"),
    greeting="Olá, esta é uma chamada de {brand}.",
    code_introduction="O seu código é:",
    repeat_introduction="Repito:",
    hear_again="Para repetir, pressione um.",
    goodbye="Até logo.",
    offer="Olá, esta é uma chamada de {brand} com o seu código. Para ouvi-lo, pressione a tecla um.",
)
