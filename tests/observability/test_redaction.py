"""The shortcuts around the search for secrets change nothing in what it finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from letstalk.observability import redaction
from letstalk.observability.redaction import mask_phone, redact_fields, redact_text
from tests.observability.test_logs import SECRETS

# Pieces of secrets, so that chance makes whole ones too, and what may stand about them.
PIECES = st.sampled_from([
    *SECRETS, "lt_", "ltr_", "ltl_", "eyJ", "gAAAA", "KEY", "bearer ", "://", "=", "+", "%2B", " ", ".", "-", "_", "a",
    "0", "12345678", "abcdefgh", "0123456789abcdefghij", "call_ended", "٣", "é",
])  # fmt: skip


@given(st.lists(PIECES, max_size=6).map("".join))
def test_every_text_is_redacted_as_if_it_were_searched_for_all(text: str) -> None:
    assert redact_text(text) == redaction._UNFIT.sub(redaction._replace, text)


def test_only_a_phone_that_was_masked_is_taken_for_masked() -> None:
    masked = mask_phone("+256700123456")
    shown = redact_fields({"phone": masked, "to": f"{masked} +256700123456", "from_number": "+256700123456…56"})
    assert shown["phone"] == masked
    assert not any("700123456" in text for text in shown.values())
