"""Turkish. The brand is the subject, because a suffix would depend on its last vowel.

The phrase "bir daha" is not used before the code, because it contains the word for "one". "Bir tuşuna basın" is not
said, because it also means "press any key". No sentence ends with the brand, because a number before a full stop is an
ordinal.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="tr-TR",
    name="Turkish",
    own_name="Türkçe",
    greeting="Merhaba, {brand} sizi arıyor.",
    code_introduction="Doğrulama kodunuz:",
    repeat_introduction="Tekrar ediyorum:",
    hear_again="Kodu yeniden dinlemek için bire basınız.",
    goodbye="İyi günler dileriz.",
    offer="Merhaba, {brand} doğrulama kodunuzu bildirmek için sizi arıyor. Kodu dinlemek için bire basınız.",
)
