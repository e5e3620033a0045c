"""Japanese, in the polite forms of a company.

The phrase もう一度 ("again") is not used next to the code, because it contains "one".
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="ja-JP",
    name="Japanese",
    own_name="日本語",
    greeting="こんにちは。{brand}からのお電話です。",
    code_introduction="認証コードは次のとおりです。",
    repeat_introduction="繰り返します。",
    hear_again="繰り返しお聞きになる場合は、数字のいちを押してください。",
    goodbye="失礼いたします。",
    offer="こんにちは。{brand}から認証コードをお知らせするお電話です。お聞きになる場合は、数字のいちを押してください。",
)
