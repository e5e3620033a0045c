"""Telugu. The brand is the subject of a neuter verb."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="te-IN",
    name="Telugu",
    own_name="తెలుగు",
    greeting="నమస్కారం, {brand} మీకు కాల్ చేస్తోంది.",
    code_introduction="మీ ధ్రువీకరణ కోడ్:",
    repeat_introduction="మళ్ళీ వినండి:",
    hear_again="మళ్ళీ వినడానికి ఒకటి నొక్కండి.",
    goodbye="ధన్యవాదాలు.",
    offer="నమస్కారం, మీ ధ్రువీకరణ కోడ్ చెప్పడానికి {brand} కాల్ చేస్తోంది. దాన్ని వినడానికి ఒకటి నొక్కండి.",
)
