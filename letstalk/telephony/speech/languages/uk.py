"""Ukrainian. Verbs are in the present tense, because the past tense would depend on the gender of the brand."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="uk-UA",
    name="Ukrainian",
    own_name="Українська",
    greeting="Вітаємо, вам телефонує {brand}.",
    code_introduction="Ваш код підтвердження:",
    repeat_introduction="Повторюю:",
    hear_again="Щоб прослухати код повторно, натисніть один.",
    goodbye="До побачення.",
    offer="Вітаємо, {brand} повідомляє вам код підтвердження. Щоб прослухати його, натисніть один.",
)
