"""Mandarin in traditional characters: Taiwan.

The code follows 為, not 是 ("is"), because many people in Taiwan say 是 like four. 重複 ("repeat") does not
stand before the code, because it ends like five (五).
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="zh-TW",
    name="Chinese (Mandarin, Taiwan)",
    own_name="中文（臺灣）",
    greeting="您好，這裡是{brand}。",
    code_introduction="您的驗證碼為：",
    repeat_introduction="為您重複播報：",
    hear_again="重聽請按一。",
    goodbye="再見。",
    offer="您好，這裡是{brand}，為您播報驗證碼。聆聽請按一。",
    also=frozenset(["zh-hant"]),
)
