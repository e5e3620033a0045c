"""Zulu. It is spoken where the request asks for it, since three people in four in South Africa speak another
language at home.

The key is named in English, as on telephones in South Africa.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="zu-ZA",
    name="Zulu",
    own_name="isiZulu",
    greeting="Sawubona, lolu wucingo oluvela ku-{brand}.",
    code_introduction="Ikhodi yakho ithi:",
    repeat_introduction="Ngiyaphinda:",
    hear_again="Cindezela u-one ukuze uphinde uyizwe.",
    goodbye="Usale kahle.",
    offer="Sawubona, lolu wucingo oluvela ku-{brand} olunekhodi yakho. Cindezela u-one ukuze uyizwe.",
)
