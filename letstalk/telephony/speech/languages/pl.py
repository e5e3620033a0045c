"""Polish. No sentence says "you", so none depends on the gender of the person.

The phrase "jeszcze raz" is not used before the code, because people count with "raz". No sentence ends with the
brand, because a number before a full stop is an ordinal.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="pl-PL",
    name="Polish",
    own_name="Polski",
    greeting="Dzień dobry, {brand} dzwoni z kodem.",
    code_introduction="Kod weryfikacyjny to:",
    repeat_introduction="Powtarzam:",
    hear_again="Aby usłyszeć go ponownie, proszę nacisnąć jeden.",
    goodbye="Do usłyszenia.",
    offer="Dzień dobry, {brand} dzwoni z kodem weryfikacyjnym. Aby go odsłuchać, proszę nacisnąć jeden.",
)
