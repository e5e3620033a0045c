"""Filipino, with the "po" of politeness."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="fil-PH",
    name="Filipino",
    own_name="Filipino",
    greeting="Magandang araw po, tumatawag po ang {brand}.",
    code_introduction="Ang code po ninyo ay:",
    repeat_introduction="Uulitin ko po:",
    hear_again="Para marinig muli, pindutin po ang isa.",
    goodbye="Salamat po.",
    offer="Magandang araw po, tumatawag po ang {brand} para sa inyong code. Para marinig ito, pindutin po ang isa.",
    also=frozenset(["tl"]),
)
