"""Afrikaans, with the polite "u". It is spoken where the request asks for it."""

from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="af-ZA",
    name="Afrikaans",
    own_name="Afrikaans",
    greeting="Goeiedag, {brand} bel u.",
    code_introduction="U kode is:",
    repeat_introduction="Ek herhaal:",
    hear_again="Om die kode weer te hoor, druk een.",
    goodbye="Totsiens.",
    offer="Goeiedag, {brand} bel u met u kode. Om dit te hoor, druk een.",
)
