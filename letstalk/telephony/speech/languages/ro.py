"""Romanian: Romania and Moldova.

The words after the code do not start with "pentru" ("to"), because it resembles four ("patru").
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="ro-RO",
    name="Romanian",
    own_name="Română",
    greeting="Bună ziua, vă sună {brand}.",
    code_introduction="Codul dumneavoastră este:",
    repeat_introduction="Repet:",
    hear_again="Apăsați tasta unu pentru a repeta.",
    goodbye="La revedere.",
    offer="Bună ziua, {brand} vă sună pentru a vă comunica codul. Apăsați tasta unu pentru a-l asculta.",
    also=frozenset(["mo"]),
)
