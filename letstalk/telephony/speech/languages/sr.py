"""Serbian: Serbia and Montenegro. No sentence ends with the brand, because a number before a full stop is an ordinal.

The words after the code do not start with "да" ("to"), because it resembles two ("два").
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="sr-RS",
    name="Serbian",
    own_name="Српски",
    greeting="Добар дан, {brand} вас зове.",
    code_introduction="Ваш код гласи:",
    repeat_introduction="Понављам:",
    hear_again="Притисните тастер један да бисте га чули поново.",
    goodbye="Довиђења.",
    offer="Добар дан, {brand} вас зове са вашим кодом. Притисните тастер један да бисте га чули.",
    also=frozenset(["sh", "cnr"]),
)
