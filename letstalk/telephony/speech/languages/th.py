"""Thai, with the particle ค่ะ of a polite woman: its voice must be a woman's.

The words after the code do not start with หาก ("if"), because it sounds like five and six.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="th-TH",
    name="Thai",
    own_name="ไทย",
    greeting="สวัสดีค่ะ สายนี้โทรจาก {brand} ค่ะ",
    code_introduction="รหัสยืนยันของท่านคือ:",
    repeat_introduction="ขอทวนอีกครั้ง:",
    hear_again="กรุณากดหมายเลขหนึ่งเพื่อฟังอีกครั้งค่ะ",
    goodbye="ขอบคุณค่ะ สวัสดีค่ะ",
    offer="สวัสดีค่ะ {brand} โทรมาเพื่อแจ้งรหัสยืนยันของท่าน กรุณากดหมายเลขหนึ่งเพื่อฟังรหัสค่ะ",
)
