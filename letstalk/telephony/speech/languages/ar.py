"""Modern Standard Arabic, the language of news and banks, for the countries where Arabic is the everyday language.

People in the Maghreb also read French, but everybody there understands this. Djibouti, Chad and the Comoros use French
officially, and people in Somalia and Eritrea speak other languages at home. The sentences avoid verbs whose form
depends on whether the brand is masculine or feminine.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="ar-AE",
    name="Arabic",
    own_name="العربية",
    greeting="مرحبًا، هذه مكالمة من {brand}.",
    code_introduction="رمز التحقق هو:",
    repeat_introduction="مرة أخرى:",
    hear_again="لإعادة الاستماع، اضغطوا على الرقم واحد.",
    goodbye="مع السلامة.",
    offer="مرحبًا، هذه مكالمة من {brand} لإبلاغكم برمز التحقق. لسماعه، اضغطوا على الرقم واحد.",
    right_to_left=True,
)
