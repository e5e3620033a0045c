"""Korean, in the polite forms of a company. No particle after the brand depends on its last sound.

The phrase 한 번 더 ("again") is not used, because it starts with "one".
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="ko-KR",
    name="Korean",
    own_name="한국어",
    greeting="안녕하세요, {brand}입니다.",
    code_introduction="고객님의 인증번호는 다음과 같습니다.",
    repeat_introduction="다시 말씀드립니다.",
    hear_again="번호를 다시 들으시려면 일 번을 눌러 주세요.",
    goodbye="감사합니다.",
    offer="안녕하세요, {brand}에서 인증번호를 알려 드립니다. 들으시려면 일 번을 눌러 주세요.",
)
