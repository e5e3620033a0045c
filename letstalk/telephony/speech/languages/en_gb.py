"""English with a British voice: the British Isles, Australia and New Zealand, and Malta.

The words are those of `en`.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="en-GB",
    name="English (United Kingdom)",
    own_name="English (United Kingdom)",
    greeting="Hello, this is {brand}.",
    code_introduction="Your code is:",
    repeat_introduction="Again:",
    hear_again="Press one to repeat.",
    goodbye="Goodbye.",
    offer="Hello, this is {brand}, calling with your code. To hear it, press one.",
)
