"""Bengali: Bangladesh. The greeting is common to people of all religions."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="bn-BD",
    name="Bengali",
    own_name="বাংলা",
    greeting="হ্যালো, {brand} থেকে আপনাকে কল করা হচ্ছে।",
    code_introduction="আপনার কোডটি হলো:",
    repeat_introduction="আবার বলছি:",
    hear_again="কোডটি আবার শুনতে এক চাপুন।",
    goodbye="ধন্যবাদ।",
    offer="হ্যালো, আপনার কোড জানাতে {brand} থেকে কল করা হচ্ছে। কোডটি শুনতে এক চাপুন।",
)
