"""French: France and its territories, Monaco, Luxembourg, Haiti, and the African countries that use French."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="fr-FR",
    name="French (France)",
    own_name="Français (France)",
    greeting="Bonjour, ici {brand}.",
    code_introduction="Votre code est :",
    repeat_introduction="Je répète :",
    hear_again="Pour réécouter, appuyez sur la touche un.",
    goodbye="Au revoir.",
    offer="Bonjour, ici {brand}, pour vous donner votre code. Pour l'écouter, appuyez sur la touche un.",
)
