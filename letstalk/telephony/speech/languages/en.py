"""English, with the voice of the United States: also the language of countries whose own is not spoken here.

`hear_again` does not start with "To hear it again", because "to" directly after the code would sound like a two.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="en-US",
    name="English (United States)",
    own_name="English (United States)",
    greeting="Hello, this is {brand}.",
    code_introduction="Your code is:",
    repeat_introduction="Again:",
    hear_again="Press one to repeat.",
    goodbye="Goodbye.",
    offer="Hello, this is {brand}, calling with your code. To hear it, press one.",
)
