"""Persian, as it is spoken in Iran and, as Dari, in Afghanistan.

The word دوباره ("again") is not used, because it starts with "two".
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="fa-IR",
    name="Persian",
    greeting="سلام، این تماس از طرف {brand} است.",
    code_introduction="کد تأیید شما این است:",
    repeat_introduction="تکرار می‌کنم:",
    hear_again="برای تکرار کد، عدد یک را فشار دهید.",
    goodbye="خدانگهدار.",
    offer="سلام، این تماس از طرف {brand} برای اعلام کد تأیید شماست. برای شنیدن آن، عدد یک را فشار دهید.",
    right_to_left=True,
    also=frozenset(["prs"]),
)
