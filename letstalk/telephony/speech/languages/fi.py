"""Finnish, with the polite plural. No sentence ends with the brand, because a number before a full stop is an ordinal.

The words after the code do not start with "kuulette" ("you hear"), because it starts like six ("kuusi").
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="fi-FI",
    name="Finnish",
    own_name="Suomi",
    greeting="Hyvää päivää, {brand} soittaa teille.",
    code_introduction="Koodinne on:",
    repeat_introduction="Toistan:",
    hear_again="Jos haluatte kuulla koodin uudelleen, painakaa ykköstä.",
    goodbye="Kuulemiin.",
    offer="Hyvää päivää, {brand} soittaa ilmoittaakseen teille koodinne. Jos haluatte kuulla koodin, painakaa ykköstä.",
)
