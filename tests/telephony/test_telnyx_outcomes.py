from __future__ import annotations

from datetime import UTC, datetime

import pytest

from letstalk.telephony.provider import CallGone, CallRefused, OutcomeUnknown, ProviderBusy, ProviderError
from letstalk.telephony.telnyx.outcomes import error_from_response, seconds_to_wait

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def errors(code: str = "", title: str = "", detail: str = "") -> dict[str, object]:
    return {"errors": [{"code": code, "title": title, "detail": detail}]}


def error_for(
    status: int, body: object = None, *, of_dial: bool = True, retry_after: str | None = None
) -> ProviderError:
    return error_from_response(status, body, of_dial=of_dial, retry_after=retry_after, now=NOW)


@pytest.mark.parametrize(
    "body",
    [
        errors("D1", "Forbidden", "User channel limit exceeded"),
        errors("10010", "Forbidden", "403 User channel limit exceeded D1"),
        errors("", "D1"),
        errors("D2"),
        errors("10010", "", "Channel limit exceeded D22"),
    ],
)
def test_a_full_account_is_busy_and_has_placed_nothing(body: object) -> None:
    error = error_for(403, body, retry_after="2")

    assert isinstance(error, ProviderBusy)
    assert error.not_placed
    assert error.retry_after_seconds == 2


@pytest.mark.parametrize("code", ["D10", "D12", "D13", "D17", "10010"])
def test_another_403_is_a_refusal_for_good(code: str) -> None:
    assert isinstance(error_for(403, errors(code, "Forbidden", f"Forbidden {code}")), CallRefused)


def test_429_has_placed_nothing_and_says_when_to_come_back() -> None:
    error = error_for(429, errors("10011"), retry_after="7")

    assert isinstance(error, ProviderBusy)
    assert (error.not_placed, error.retry_after_seconds) == (True, 7.0)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_a_5xx_may_have_placed_the_call_for_all_we_know(status: int) -> None:
    error = error_for(status, "<html>")

    assert isinstance(error, ProviderBusy)
    assert not error.not_placed


@pytest.mark.parametrize("status", [302, 408, 409, 425])
def test_what_says_neither_yes_nor_no_is_unknown(status: int) -> None:
    assert isinstance(error_for(status), OutcomeUnknown)


@pytest.mark.parametrize(("status", "code"), [(404, "10005"), (404, ""), (422, "90018"), (400, "90015")])
def test_a_call_that_has_ended_is_gone(status: int, code: str) -> None:
    assert isinstance(error_for(status, errors(code), of_dial=False), CallGone)


@pytest.mark.parametrize("status", [404, 422])
def test_a_dial_never_finds_its_call_gone(status: int) -> None:
    assert isinstance(error_for(status, errors("90018")), CallRefused)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 413, 422, 451])
@pytest.mark.parametrize("body", [None, "", "<html>", [], {}, {"errors": None}, {"errors": ["x"]}, {"errors": [{}]}])
def test_any_other_refusal_is_a_sentence(status: int, body: object) -> None:
    error = error_for(status, body)

    assert isinstance(error, CallRefused)
    assert error.reason.startswith("Telnyx ")
    assert error.reason.endswith(".")


def test_a_reason_quotes_no_text_of_telnyx_but_the_code() -> None:
    error = error_for(422, errors("10015", "secret title", "+256700123456 KEY0123"))

    assert not any(word in error.reason for word in ("secret", "+256700123456", "KEY0123"))
    assert error.reason.endswith("Telnyx's code: 10015.")
    odd = error_for(422, errors("<b>+256700123456</b>", "title", "detail"))
    assert "code" not in odd.reason


def test_a_known_code_has_a_reason_of_its_own() -> None:
    assert error_for(403, errors("10010", "", "Not whitelisted D13")).reason != error_for(403).reason
    assert "TELNYX_API_KEY" in error_for(401, errors("10009")).reason


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("3", 3.0),
        ("0.5", 0.5),
        ("Fri, 20 Nov 2026 12:00:09 GMT", 9.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 20 Nov 2026 12:00:09", None),
        ("9" * 50, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(header: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(header, NOW) == seconds
