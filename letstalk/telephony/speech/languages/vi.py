"""Vietnamese, with the "quý khách" that banks use for a customer.

The phrase "một lần nữa" is not used before the code, because it starts with "one".
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="vi-VN",
    name="Vietnamese",
    own_name="Tiếng Việt",
    greeting="Xin chào, đây là cuộc gọi từ {brand}.",
    code_introduction="Mã xác minh của quý khách là:",
    repeat_introduction="Xin nhắc lại:",
    hear_again="Để nghe lại, vui lòng bấm phím một.",
    goodbye="Cảm ơn quý khách.",
    offer="Xin chào, đây là cuộc gọi từ {brand} để báo mã xác minh của quý khách. Để nghe mã, vui lòng bấm phím một.",
)
