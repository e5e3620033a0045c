"""Cantonese in traditional characters: Hong Kong and Macau.

The word 而家 ("now") is not used, because it starts like two (二), and 重複 ("repeat") not before the code,
because it ends like six (六).
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="zh-HK",
    name="Chinese (Cantonese, Hong Kong)",
    own_name="粵語（香港）",
    greeting="您好，呢度係{brand}。",
    code_introduction="您嘅驗證碼係：",
    repeat_introduction="再次讀出您嘅驗證碼：",
    hear_again="重聽請按一。",
    goodbye="再見。",
    offer="您好，呢度係{brand}，通知您嘅驗證碼。收聽請按一。",
    also=frozenset(["yue", "zh-yue", "zh-mo", "zh-hant-hk", "zh-hant-mo"]),
)
