"""French: France and its territories, Monaco, Belgium and Luxembourg, Haiti, and the African countries that use French.

Belgium gets French because its larger language, Dutch, is not supported yet. Cameroon is bilingual, and four people in
five use French. Mauritius uses English in writing but French in speech.
"""

from letstalk.telephony.speech.languages import Language, countries

EUROPE = countries("FR MC BE LU")
TERRITORIES = countries("BL GF GP MF MQ NC PF PM RE WF YT")
AFRICA_AND_HAITI = countries("BF BI BJ CD CF CG CI CM DJ GA GN HT KM MG ML MU NE SN TD TG")

LANGUAGE = Language(
    tag="fr-FR",
    regions=EUROPE | TERRITORIES | AFRICA_AND_HAITI,
    greeting="Bonjour, ici {brand}.",
    code_introduction="Votre code est :",
    repeat_introduction="Je répète :",
    hear_again="Pour réécouter, appuyez sur la touche un.",
    goodbye="Au revoir.",
    offer="Bonjour, ici {brand}, avec votre code. Pour l'écouter, appuyez sur la touche un.",
)
