"""German: Germany, Austria, Liechtenstein, and Switzerland, where it is the first language of two people in three.

No sentence ends with the brand, because a voice reads a number before a full stop as an ordinal ("Studio 54." as "the
54th"). The phrase "noch einmal" is not used before the code, because it contains the word for "one".
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="de-DE",
    name="German",
    own_name="Deutsch",
    greeting="Guten Tag, {brand} ruft Sie an.",
    code_introduction="Ihr Code lautet:",
    repeat_introduction="Nochmals:",
    hear_again="Zum Wiederholen drücken Sie die Eins.",
    goodbye="Auf Wiederhören.",
    offer="Guten Tag, {brand} ruft Sie an, um Ihnen Ihren Code mitzuteilen. Zum Anhören drücken Sie die Eins.",
)
