"""French of Canada, where the request asks for it. A key is pressed with "faites"."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="fr-CA",
    name="French (Canada)",
    own_name="Français (Canada)",
    greeting="Bonjour, ici {brand}.",
    code_introduction="Votre code est :",
    repeat_introduction="Je répète :",
    hear_again="Pour réentendre le code, faites le un.",
    goodbye="Au revoir.",
    offer="Bonjour, ici {brand}, pour vous donner votre code. Pour l'entendre, faites le un.",
)
