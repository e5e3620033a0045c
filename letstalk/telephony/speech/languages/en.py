"""English. It claims no country: it is what a phone gets whose country no other language claims.

That holds on purpose for Canada (three in four speak it first or best), Uganda and Rwanda (the schools' language).
"To hear it again" would stand right after the code and sound like a two, so `hear_again` starts with another word.
"""

from letstalk.telephony.speech.languages.base import Language

LANGUAGE = Language(
    tag="en-US",
    voice="AWS.Polly.Joanna-Neural",
    regions=frozenset(),
    greeting="Hello, this is {brand}.",
    code_introduction="Your code is:",
    repeat_introduction="Again:",
    hear_again="Press one to repeat.",
    goodbye="Goodbye.",
    offer="Hello, this is {brand}, calling with your code. To hear it, press one.",
)
