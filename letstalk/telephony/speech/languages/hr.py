"""Croatian: Croatia, and Bosnia and Herzegovina, where everybody understands it.

No sentence ends with the brand, because a number before a full stop is an ordinal.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="hr-HR",
    name="Croatian",
    own_name="Hrvatski",
    greeting="Dobar dan, {brand} vas zove.",
    code_introduction="Vaš kod glasi:",
    repeat_introduction="Ponavljam:",
    hear_again="Pritisnite tipku jedan za ponavljanje.",
    goodbye="Doviđenja.",
    offer="Dobar dan, {brand} vas zove s vašim kodom. Pritisnite tipku jedan kako biste ga čuli.",
    also=frozenset(["bs"]),
)
