"""Indonesian. The phrase "sekali lagi" is not used, because it starts with a word for "one"."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="id-ID",
    name="Indonesian",
    own_name="Bahasa Indonesia",
    greeting="Halo, ini panggilan dari {brand}.",
    code_introduction="Kode Anda adalah:",
    repeat_introduction="Kami ulangi:",
    hear_again="Untuk mendengarkan lagi, tekan satu.",
    goodbye="Terima kasih.",
    offer="Halo, ini panggilan dari {brand} untuk menyampaikan kode Anda. Untuk mendengarkannya, tekan satu.",
    also=frozenset(["in"]),
)
