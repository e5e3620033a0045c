"""Arabic, in the standard language of news and banks: the countries that have it as their everyday language.

The Maghreb reads French too, but everybody there understands this. Djibouti, Chad and the Comoros run in French, and
Somalia and Eritrea speak other languages at home. The sentences avoid verbs that would have to know whether the brand
is masculine or feminine. The voice is one of Polly's two neural ones, both of the Gulf.
"""

from letstalk.telephony.speech.languages.base import Language, countries

LANGUAGE = Language(
    tag="ar-AE",
    voice="AWS.Polly.Hala-Neural",
    regions=countries("AE BH DZ EG EH IQ JO KW LB LY MA MR OM PS QA SA SD SY TN YE"),
    greeting="مرحبًا، هذه مكالمة من {brand}.",
    code_introduction="رمز التحقق هو:",
    repeat_introduction="مرة أخرى:",
    hear_again="لإعادة الاستماع، اضغطوا على الرقم واحد.",
    goodbye="مع السلامة.",
    offer="مرحبًا، هذه مكالمة من {brand} لإبلاغكم برمز التحقق. لسماعه، اضغطوا على الرقم واحد.",
    right_to_left=True,
)
