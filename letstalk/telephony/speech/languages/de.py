"""German: Germany, Austria, Liechtenstein, and Switzerland, where two in three speak it first.

No sentence ends in the brand: a number before a full stop is read as an ordinal ("Studio 54." as "the 54th").
Nor is "noch einmal" said before the code: it holds "one".
"""

from letstalk.telephony.speech.languages.base import Language, countries

LANGUAGE = Language(
    tag="de-DE",
    voice="AWS.Polly.Vicki-Neural",
    regions=countries("DE AT CH LI"),
    greeting="Guten Tag, {brand} ruft Sie an.",
    code_introduction="Ihr Code lautet:",
    repeat_introduction="Nochmals:",
    hear_again="Zum Wiederholen drücken Sie die Eins.",
    goodbye="Auf Wiederhören.",
    offer="Guten Tag, {brand} ruft Sie mit Ihrem Code an. Um ihn zu hören, drücken Sie die Eins.",
)
