"""English. It lists no country: it is the language for phones of every country that no other language lists.

That is intended for Canada (three people in four speak it best) and for Uganda and Rwanda (schools teach in it).
`hear_again` does not start with "To hear it again", because "to" directly after the code would sound like a two.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="en-US",
    regions=frozenset(),
    greeting="Hello, this is {brand}.",
    code_introduction="Your code is:",
    repeat_introduction="Again:",
    hear_again="Press one to repeat.",
    goodbye="Goodbye.",
    offer="Hello, this is {brand}, calling with your code. To hear it, press one.",
)
