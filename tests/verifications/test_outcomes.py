"""Each way that a verification can end has a reason, with words for a person."""

from __future__ import annotations

import itertools

from letstalk.calls.models import ENDED, CallStatus
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.outcomes import EXPLANATIONS, PROGRESS, REASON_OF_CALL, Reason, reason_of


def test_every_pair_of_statuses_has_a_reason_and_every_reason_comes_of_one() -> None:
    calls: list[CallStatus | None] = [None, *CallStatus]
    found = {reason_of(status, call) for status, call in itertools.product(VerificationStatus, calls)}
    assert found == set(Reason)


def test_what_ended_the_verification_itself_is_the_reason_whatever_became_of_its_call() -> None:
    for call in CallStatus:
        assert reason_of(VerificationStatus.APPROVED, call) is Reason.APPROVED
        assert reason_of(VerificationStatus.PENDING, call) is Reason.PENDING
        assert reason_of(VerificationStatus.CANCELED, call) is Reason.CANCELED
        assert reason_of(VerificationStatus.SUPERSEDED, call) is Reason.SUPERSEDED
        assert reason_of(VerificationStatus.ATTEMPTS_EXCEEDED, call) is Reason.ATTEMPTS_EXCEEDED


def test_an_expired_verification_is_explained_by_its_last_call() -> None:
    expired = VerificationStatus.EXPIRED
    assert reason_of(expired, CallStatus.COMPLETED) is Reason.HEARD_NOT_ENTERED
    assert reason_of(expired, CallStatus.BUSY) is Reason.BUSY
    assert reason_of(expired, CallStatus.MACHINE) is Reason.MACHINE
    assert reason_of(VerificationStatus.FAILED, CallStatus.FAILED) is Reason.FAILED


def test_every_reason_has_its_own_words_and_every_trouble_a_remedy() -> None:
    assert set(EXPLANATIONS) == set(Reason)
    assert len({one.label for one in EXPLANATIONS.values()}) == len(Reason)
    no_trouble = {Reason.APPROVED, Reason.PENDING, Reason.CANCELED}
    assert {reason for reason, one in EXPLANATIONS.items() if not one.remedy} == no_trouble
    assert all(one.sentence.endswith(".") for one in EXPLANATIONS.values())


def test_what_a_call_has_come_to_is_said_for_every_status_and_trouble_is_where_nobody_heard_the_code() -> None:
    assert set(PROGRESS) == {None, *CallStatus}
    heard_or_under_way = {Reason.HEARD_NOT_ENTERED, Reason.FAILED, Reason.NO_ANSWER}
    for call, progress in PROGRESS.items():
        is_over = call is not None and call in ENDED
        assert progress.is_trouble == (is_over and call is not CallStatus.COMPLETED), call
        assert is_over or REASON_OF_CALL[call] in heard_or_under_way
