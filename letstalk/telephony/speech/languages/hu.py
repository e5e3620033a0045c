"""Hungarian. The brand has no article, which would depend on its first sound.

No sentence ends with the brand, because a number before a full stop is an ordinal.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="hu-HU",
    name="Hungarian",
    own_name="Magyar",
    greeting="Jó napot kívánok, {brand} hívja Önt.",
    code_introduction="Az Ön kódja:",
    repeat_introduction="Ismétlem:",
    hear_again="Ismétléshez nyomja meg az egyes gombot.",
    goodbye="Viszonthallásra.",
    offer="Jó napot kívánok, {brand} hívja Önt, hogy közölje a kódját. A meghallgatásához nyomja meg az egyes gombot.",
)
