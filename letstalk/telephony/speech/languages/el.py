"""Greek: Greece and Cyprus. No article stands before the brand, because it would have a gender.

The word είναι ("is") does not stand before the code, because it resembles nine.
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="el-GR",
    name="Greek",
    own_name="Ελληνικά",
    greeting="Γεια σας, έχετε μια κλήση από {brand}.",
    code_introduction="Ο κωδικός σας:",
    repeat_introduction="Επαναλαμβάνω:",
    hear_again="Για να τον ακούσετε ξανά, πατήστε το ένα.",
    goodbye="Ευχαριστούμε, γεια σας.",
    offer="Γεια σας, έχετε μια κλήση από {brand} με τον κωδικό σας. Για να τον ακούσετε, πατήστε το ένα.",
)
