"""Cantonese in traditional characters: Hong Kong and Macau."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="zh-HK",
    name="Chinese (Cantonese, Hong Kong)",
    greeting="你好，呢度係{brand}。",
    code_introduction="您嘅驗證碼係：",
    repeat_introduction="而家重複：",
    hear_again="重聽請按一。",
    goodbye="再見。",
    offer="你好，呢度係{brand}，通知您嘅驗證碼。收聽請按一。",
    also=frozenset(["yue", "zh-yue", "zh-mo", "zh-hant-hk", "zh-hant-mo"]),
)
