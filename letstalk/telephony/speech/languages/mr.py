"""Marathi.

The word दुबार ("again") is not used, because it starts like "two". ऐका ("listen") does not stand before the code,
because it resembles one (एक).
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="mr-IN",
    name="Marathi",
    own_name="मराठी",
    greeting="नमस्कार, हा {brand} कडून कॉल आहे.",
    code_introduction="आपला पडताळणी कोड पुढीलप्रमाणे:",
    repeat_introduction="पुन्हा सांगत आहे:",
    hear_again="पुन्हा ऐकण्यासाठी एक दाबा.",
    goodbye="धन्यवाद, नमस्कार.",
    offer="नमस्कार, आपला कोड सांगण्यासाठी हा {brand} कडून कॉल आहे. तो ऐकण्यासाठी एक दाबा.",
)
