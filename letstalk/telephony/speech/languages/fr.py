"""French: France and its territories, Monaco, Belgium and Luxembourg, and the countries of Africa that run in French.

Belgium's larger language, Dutch, is not spoken here yet; until it is, French is the official one that is.
Cameroon is bilingual, with French for four in five. Mauritius reads English but speaks French.
"""

from letstalk.telephony.speech.languages.base import Language, countries

EUROPE = countries("FR MC BE LU")
TERRITORIES = countries("BL GF GP MF MQ NC PF PM RE WF YT")
AFRICA_AND_HAITI = countries("BF BI BJ CD CF CG CI CM DJ GA GN HT KM MG ML MU NE SN TD TG")

LANGUAGE = Language(
    tag="fr-FR",
    voice="AWS.Polly.Lea-Neural",
    regions=EUROPE | TERRITORIES | AFRICA_AND_HAITI,
    greeting="Bonjour, ici {brand}.",
    code_introduction="Votre code est :",
    repeat_introduction="Je répète :",
    hear_again="Pour réécouter, appuyez sur la touche un.",
    goodbye="Au revoir.",
    offer="Bonjour, ici {brand}, avec votre code. Pour l'écouter, appuyez sur la touche un.",
)
