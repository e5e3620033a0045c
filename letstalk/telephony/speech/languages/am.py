"""Amharic: Ethiopia, with the polite form of "you".

The word እንደገና ("again") is not used, because it starts like "one".
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="am-ET",
    name="Amharic",
    own_name="አማርኛ",
    greeting="ጤና ይስጥልኝ፣ ይህ ከ{brand} የተደወለ ጥሪ ነው።",
    code_introduction="የማረጋገጫ ኮድዎ የሚከተለው ነው፦",
    repeat_introduction="እደግማለሁ፦",
    hear_again="ለመድገም አንድን ይጫኑ።",
    goodbye="ደህና ይሁኑ።",
    offer="ጤና ይስጥልኝ፣ ይህ የማረጋገጫ ኮድዎን ለመንገር ከ{brand} የተደወለ ጥሪ ነው። ለመስማት አንድን ይጫኑ።",
)
