from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letstalk.calls.limits import ensure_phone_rates
from letstalk.core.errors import Conflict, Gone, TooManyRequests
from letstalk.core.rates import Rate
from letstalk.verifications.models import (
    MAX_REPLAYS,
    Verification,
    VerificationStatus,
    ensure_cancelable,
    ensure_few_wrong_codes,
    ensure_pending,
    ensure_replay_allowed,
    ensure_resend_allowed,
)

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PENDING = Verification(
    verification_id="one",
    owner_id="acme",
    phone="+256700123456",
    status=VerificationStatus.PENDING,
    created_at=NOON,
    expires_at=NOON + timedelta(seconds=300),
    last_spoken_for_at=NOON,
    attempts_used=0,
    replays_used=0,
    locale=None,
    code_digest="0" * 64,
    digest_key_id="key",
    speech_sealed="sealed",
    approved_at=None,
)
OVER = {
    VerificationStatus.APPROVED: "code_used",
    VerificationStatus.EXPIRED: "code_expired",
    VerificationStatus.ATTEMPTS_EXCEEDED: "attempts_exceeded",
    VerificationStatus.CANCELED: "verification_canceled",
    VerificationStatus.SUPERSEDED: "verification_superseded",
    VerificationStatus.FAILED: "verification_failed",
}


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def refused_for(action: Callable[[], object]) -> int:
    """The Retry-After of the refusal."""
    with pytest.raises(TooManyRequests) as caught:
        action()
    assert caught.value.retry_after_seconds is not None
    return caught.value.retry_after_seconds


def test_a_code_is_alive_until_the_moment_it_expires() -> None:
    assert PENDING.status_at(after(299.999)) is VerificationStatus.PENDING
    assert PENDING.status_at(after(300)) is VerificationStatus.EXPIRED
    ensure_pending(PENDING, after(299.999))
    with pytest.raises(Gone) as caught:
        ensure_pending(PENDING, after(300))
    assert caught.value.code == "code_expired"


def test_what_is_left_of_its_life_is_told_in_whole_seconds_and_never_less_than_none() -> None:
    assert PENDING.expires_in_seconds(NOON) == 300
    assert PENDING.expires_in_seconds(after(0.5)) == 300
    assert PENDING.expires_in_seconds(after(299.9)) == 1
    assert PENDING.expires_in_seconds(after(1000)) == 0


@pytest.mark.parametrize(("status", "code"), OVER.items(), ids=str)
def test_each_way_of_being_over_has_its_own_code(status: VerificationStatus, code: str) -> None:
    over = replace(PENDING, status=status)
    with pytest.raises(Gone) as caught:
        ensure_pending(over, NOON)
    assert caught.value.code == code
    with pytest.raises(Conflict) as not_pending:
        ensure_cancelable(over, NOON)
    assert not_pending.value.code == "not_pending"


def test_every_status_but_pending_is_over() -> None:
    assert set(OVER) == set(VerificationStatus) - {VerificationStatus.PENDING}


def test_an_approved_code_stays_used_when_its_time_has_run_out() -> None:
    assert replace(PENDING, status=VerificationStatus.APPROVED).status_at(after(301)) is VerificationStatus.APPROVED


def test_an_expired_verification_cannot_be_canceled() -> None:
    ensure_cancelable(PENDING, after(299))
    with pytest.raises(Conflict):
        ensure_cancelable(PENDING, after(300))


def test_the_tenth_wrong_code_within_an_hour_closes_the_phone_until_the_first_is_an_hour_old() -> None:
    judged = [after(-60 * minutes) for minutes in range(10)]
    ensure_few_wrong_codes(judged[:9], NOON)
    assert refused_for(lambda: ensure_few_wrong_codes(judged, NOON)) == 3600 - 540
    assert refused_for(lambda: ensure_few_wrong_codes(judged, after(3600 - 541))) == 1
    ensure_few_wrong_codes(judged, after(3600 - 540))


@given(st.lists(st.integers(0, 7200), max_size=10))
def test_wrong_codes_count_for_an_hour(ages: list[int]) -> None:
    judged = [after(-age) for age in sorted(ages)]
    is_closed = sum(age < 3600 for age in ages) >= 10
    if not is_closed:
        ensure_few_wrong_codes(judged, NOON)
        return
    wait = refused_for(lambda: ensure_few_wrong_codes(judged, NOON))
    assert wait >= 1
    ensure_few_wrong_codes(judged, after(wait))


def test_a_new_code_can_be_had_30_seconds_after_the_last() -> None:
    ensure_resend_allowed(None, NOON)
    assert refused_for(lambda: ensure_resend_allowed(NOON, NOON)) == 30
    assert refused_for(lambda: ensure_resend_allowed(NOON, after(29.999))) == 1
    ensure_resend_allowed(NOON, after(30))


def test_a_replay_waits_20_seconds_and_for_the_reading() -> None:
    assert refused_for(lambda: ensure_replay_allowed(PENDING, is_reading_awaited=False, now=after(1))) == 19
    assert refused_for(lambda: ensure_replay_allowed(PENDING, is_reading_awaited=True, now=after(20))) >= 1
    ensure_replay_allowed(PENDING, is_reading_awaited=False, now=after(20))


def test_replays_run_out_and_that_is_told_before_any_cool_down() -> None:
    ensure_replay_allowed(replace(PENDING, replays_used=MAX_REPLAYS - 1), is_reading_awaited=False, now=after(20))
    with pytest.raises(Conflict) as caught:
        ensure_replay_allowed(replace(PENDING, replays_used=MAX_REPLAYS), is_reading_awaited=True, now=NOON)
    assert caught.value.code == "replays_exhausted"


def test_attempts_and_replays_are_told_as_what_remains() -> None:
    used = replace(PENDING, attempts_used=2, replays_used=1)
    assert (PENDING.attempts_remaining, PENDING.replays_remaining) == (5, 3)
    assert (used.attempts_remaining, used.replays_remaining) == (3, 2)


@given(
    st.lists(st.integers(1, 1000), max_size=12),
    st.lists(st.builds(Rate, st.integers(1, 6), st.integers(1, 900)), max_size=3),
)
def test_a_call_is_accepted_exactly_when_every_rate_has_room(ages: list[int], rates: list[Rate]) -> None:
    accepted = [after(-age) for age in sorted(ages)]
    is_full = any(sum(age < rate.window_seconds for age in ages) >= rate.amount for rate in rates)
    if is_full:
        assert refused_for(lambda: ensure_phone_rates(tuple(rates), accepted, NOON)) >= 1
    else:
        ensure_phone_rates(tuple(rates), accepted, NOON)


def test_the_phone_limit_says_when_there_is_room_again() -> None:
    rates = (Rate(2, 600),)
    accepted = [after(-10), after(-100), after(-500)]
    wait = refused_for(lambda: ensure_phone_rates(rates, accepted, NOON))
    assert wait == 500
    ensure_phone_rates(rates, accepted, after(wait))
