"""Mandarin in simplified characters: China.

The code follows 为, not 是 ("is"), because 是 sounds like four in the south. The phrase 再说一遍 ("again") is not used,
because it contains "one". 重复 ("repeat") does not stand before the code, because it ends like five (五).
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="zh-CN",
    name="Chinese (Mandarin, China)",
    own_name="中文（普通话）",
    greeting="您好，这里是{brand}。",
    code_introduction="您的验证码为：",
    repeat_introduction="为您重复播报：",
    hear_again="重听请按一。",
    goodbye="再见。",
    offer="您好，这里是{brand}，为您播报验证码。收听请按一。",
    also=frozenset(["zh-hans", "cmn"]),
)
