"""Hebrew. The plural addresses women and men, and no verb depends on the gender of the brand.

The words after the code do not start with לשמיעה ("to hear"), because it resembles eight.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="he-IL",
    name="Hebrew",
    own_name="עברית",
    greeting="שלום, זוהי שיחה מטעם {brand}.",
    code_introduction="קוד האימות הוא:",
    repeat_introduction="נחזור על הקוד:",
    hear_again="להאזנה חוזרת, הקישו אחת.",
    goodbye="תודה ולהתראות.",
    offer="שלום, זוהי שיחה מטעם {brand} למסירת קוד האימות. להאזנה לקוד, הקישו אחת.",
    right_to_left=True,
    also=frozenset(["iw"]),
)
