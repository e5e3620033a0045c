"""Malay: Malaysia and Brunei. The phrase "sekali lagi" is not used, because it starts with a word for "one"."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="ms-MY",
    name="Malay",
    own_name="Bahasa Melayu",
    greeting="Helo, ini panggilan daripada {brand}.",
    code_introduction="Kod anda ialah:",
    repeat_introduction="Kami ulangi:",
    hear_again="Untuk mendengarnya lagi, sila tekan satu.",
    goodbye="Terima kasih.",
    offer="Helo, ini panggilan daripada {brand} untuk menyampaikan kod anda. Untuk mendengarnya, sila tekan satu.",
    also=frozenset(["zsm"]),
)
