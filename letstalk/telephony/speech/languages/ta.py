"""Tamil. The brand is the subject of a neuter verb.

The word மீண்டும் ("again") is not used, because it ends like the spoken form of two (ரெண்டு).
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="ta-IN",
    name="Tamil",
    own_name="தமிழ்",
    greeting="வணக்கம், {brand} உங்களை அழைக்கிறது.",
    code_introduction="உங்கள் சரிபார்ப்புக் குறியீடு:",
    repeat_introduction="மறுபடியும்:",
    hear_again="மறுபடியும் கேட்க, ஒன்றை அழுத்தவும்.",
    goodbye="நன்றி, வணக்கம்.",
    offer="வணக்கம், உங்கள் சரிபார்ப்புக் குறியீட்டைத் தெரிவிக்க {brand} அழைக்கிறது. அதைக் கேட்க, ஒன்றை அழுத்தவும்.",
)
