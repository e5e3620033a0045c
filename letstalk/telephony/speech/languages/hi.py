"""Hindi: India, where more than half understand it and about one in ten English; an app of the south sends a locale.

Kajal speaks Indian English unless told otherwise, and Telnyx passes no language on to Polly, so the payload itself
says which one it is; without that the digits would be read in English. The word दोबारा ("again") is avoided: it
starts with "two".
"""

from letstalk.telephony.speech.languages.base import Language, countries

LANGUAGE = Language(
    tag="hi-IN",
    voice="AWS.Polly.Kajal-Neural",
    regions=countries("IN"),
    greeting="नमस्ते, यह {brand} की ओर से कॉल है।",
    code_introduction="आपका कोड है:",
    repeat_introduction="फिर से सुनिए:",
    hear_again="फिर से सुनने के लिए एक दबाएँ।",
    goodbye="धन्यवाद, नमस्कार।",
    offer="नमस्ते, यह आपका कोड बताने के लिए {brand} की ओर से कॉल है। कोड सुनने के लिए एक दबाएँ।",
    opening='<speak><lang xml:lang="hi-IN">',
    closing="</lang></speak>",
)
