"""Urdu, the common language of Pakistan.

The word دوبارہ ("again") is not used, because it starts with "two".
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="ur-PK",
    name="Urdu",
    own_name="اردو",
    greeting="السلام علیکم، یہ {brand} کی جانب سے کال ہے۔",
    code_introduction="آپ کا تصدیقی کوڈ یہ ہے:",
    repeat_introduction="پھر سے سنیے:",
    hear_again="پھر سے سننے کے لیے ایک دبائیں۔",
    goodbye="شکریہ، خدا حافظ۔",
    offer="السلام علیکم، یہ آپ کا تصدیقی کوڈ بتانے کے لیے {brand} کی جانب سے کال ہے۔ کوڈ سننے کے لیے ایک دبائیں۔",
    right_to_left=True,
)
