"""Hindi: India, where more than half of the people understand it, and about one in ten understands English.

An app for the south of India sends a locale. The word दोबारा ("again") is not used, because it starts with "two".
"""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="hi-IN",
    name="Hindi",
    own_name="हिन्दी",
    greeting="नमस्ते, यह {brand} की ओर से कॉल है।",
    code_introduction="आपका कोड है:",
    repeat_introduction="फिर से सुनिए:",
    hear_again="फिर से सुनने के लिए एक दबाएँ।",
    goodbye="धन्यवाद, नमस्कार।",
    offer="नमस्ते, यह आपका कोड बताने के लिए {brand} की ओर से कॉल है। कोड सुनने के लिए एक दबाएँ।",
)
