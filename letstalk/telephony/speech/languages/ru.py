"""Russian. Verbs are in the present tense, because the past tense would depend on the gender of the brand.

The phrase "ещё раз" is not used before the code, because people count with "раз".
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="ru-RU",
    name="Russian",
    own_name="Русский",
    greeting="Здравствуйте, вам звонит {brand}.",
    code_introduction="Ваш код подтверждения:",
    repeat_introduction="Повторяю:",
    hear_again="Чтобы прослушать код повторно, нажмите один.",
    goodbye="До свидания.",
    offer="Здравствуйте, {brand} сообщает вам код подтверждения. Чтобы прослушать его, нажмите один.",
)
