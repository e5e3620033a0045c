"""Punjabi, as it is spoken in India.

The word ਦੁਬਾਰਾ ("again") is not used, because it starts like "two".
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="pa-IN",
    name="Punjabi",
    own_name="ਪੰਜਾਬੀ",
    greeting="ਸਤ ਸ੍ਰੀ ਅਕਾਲ, ਇਹ {brand} ਵੱਲੋਂ ਕਾਲ ਹੈ।",
    code_introduction="ਤੁਹਾਡਾ ਕੋਡ ਹੈ:",
    repeat_introduction="ਕਿਰਪਾ ਕਰਕੇ ਫਿਰ ਸੁਣੋ:",
    hear_again="ਫਿਰ ਤੋਂ ਸੁਣਨ ਲਈ ਇੱਕ ਦਬਾਓ।",
    goodbye="ਧੰਨਵਾਦ।",
    offer="ਸਤ ਸ੍ਰੀ ਅਕਾਲ, ਇਹ ਤੁਹਾਡਾ ਕੋਡ ਦੱਸਣ ਲਈ {brand} ਵੱਲੋਂ ਕਾਲ ਹੈ। ਕੋਡ ਸੁਣਨ ਲਈ ਇੱਕ ਦਬਾਓ।",
    also=frozenset(["pnb"]),
)
