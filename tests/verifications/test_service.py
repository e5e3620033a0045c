"""Checking codes, and looking at, listing and canceling verifications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import select

from letstalk.calls.models import CallStatus
from letstalk.core.errors import InvalidRequest, NotFound
from letstalk.db.database import Database
from letstalk.verifications.models import NewVerification, VerificationStatus
from letstalk.verifications.wrong_codes import list_wrong_codes
from letstalk.verifications.wrong_codes import wrong_codes as wrong_codes_table
from tests.support.world import (
    NO_ANSWER,
    NOON,
    PHONE,
    World,
    an_actor,
    at_once,
    outcome_of,
    phone_number,
    refusal_of,
    wrong_code,
)


def test_the_right_code_is_accepted_once(world: World) -> None:
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    world.clock.move(7)
    approval = world.check(accepted.verification_id, code)
    assert (approval.pending.verification_id, approval.pending.phone) == (accepted.verification_id, PHONE)
    assert approval.approved_at == world.clock()
    refusal_of(lambda: world.check(accepted.verification_id, code), "code_used")
    refusal_of(lambda: world.check_phone(PHONE, code), "code_used")


def test_an_approval_erases_the_code(world: World) -> None:
    accepted = world.send()
    world.check(accepted.verification_id, world.code_of(accepted.verification_id))
    approved = world.verification(accepted.verification_id)
    assert (approved.status, approved.speech_sealed) == (VerificationStatus.APPROVED, None)


def test_a_phone_is_as_good_as_an_id(world: World) -> None:
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    assert world.check_phone("+256 700-123-456", code).pending.verification_id == accepted.verification_id


def test_a_phone_with_a_zero_behind_its_country_code_is_the_number_without(world: World) -> None:
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    assert world.check_phone("+2560700123456", code).pending.phone == PHONE
    refusal_of(lambda: world.check_phone("+2560700123456", code), "code_used")


@pytest.mark.parametrize("phone", ["+999123456", "+25670", "+256700", "+1555", "+256700123456789"])
def test_what_is_no_number_is_refused_as_such_and_spends_nothing(world: World, phone: str) -> None:
    accepted = world.send()
    refusal_of(lambda: world.check_phone(phone, world.code_of(accepted.verification_id)), "invalid_phone")
    refusal_of(lambda: world.check_phone("+256700999888", "123456"), "no_pending_verification")
    assert world.verification(accepted.verification_id).attempts_used == 0


def test_an_id_is_read_in_any_case(world: World) -> None:
    accepted = world.send()
    assert world.check(accepted.verification_id.upper(), world.code_of(accepted.verification_id))


def test_a_wrong_code_spends_an_attempt_and_says_how_many_remain(world: World) -> None:
    accepted = world.send()
    wrong = wrong_code(world.code_of(accepted.verification_id))
    remaining = [
        refusal_of(lambda: world.check(accepted.verification_id, wrong), "invalid_code").attempts_remaining
        for _ in range(5)
    ]
    assert remaining == [4, 3, 2, 1, 0]


def test_after_five_wrong_codes_not_even_the_right_one_is_accepted(world: World) -> None:
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    world.guess_wrong(accepted.verification_id, 5)
    refusal_of(lambda: world.check(accepted.verification_id, code), "attempts_exceeded")
    over = world.verification(accepted.verification_id)
    assert (over.status, over.speech_sealed) == (VerificationStatus.ATTEMPTS_EXCEEDED, None)


def test_the_right_code_is_accepted_with_the_last_attempt(world: World) -> None:
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    world.guess_wrong(accepted.verification_id, 4)
    assert world.check(accepted.verification_id, code)


def test_a_code_without_its_leading_zero_or_of_another_length_is_wrong(world: World) -> None:
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    for other in (code[1:], "0" + code, code + "0"):
        refusal_of(lambda other=other: world.check(accepted.verification_id, other), "invalid_code")  # type: ignore[misc]


def test_a_code_expires_to_the_second(world: World) -> None:
    accepted = world.send(ttl_seconds=60)
    code = world.code_of(accepted.verification_id)
    world.clock.move(60)
    refusal_of(lambda: world.check(accepted.verification_id, code), "code_expired")
    assert world.verification(accepted.verification_id).attempts_remaining == 5
    world.clock.move(-0.001)
    assert world.check(accepted.verification_id, code)


def test_by_phone_the_newest_verification_decides(world: World) -> None:
    world.send()
    world.clock.move(30)
    newer = world.send()
    assert (
        world.check_phone(PHONE, world.code_of(newer.verification_id)).pending.verification_id == newer.verification_id
    )


def test_a_verification_is_found_by_phone_for_24_hours(world: World) -> None:
    world.send()
    world.clock.move(24 * 3600 - 1)
    refusal_of(lambda: world.check_phone(PHONE, "000000"), "code_expired")
    world.clock.move(1)
    refusal_of(lambda: world.check_phone(PHONE, "000000"), "no_pending_verification")


def test_it_is_found_by_its_id_for_longer(world: World) -> None:
    accepted = world.send()
    world.clock.move(48 * 3600)
    refusal_of(lambda: world.check(accepted.verification_id, "000000"), "code_expired")


def test_where_there_is_none_there_is_none_pending(world: World) -> None:
    refusal_of(lambda: world.check_phone(PHONE, "123456"), "no_pending_verification")
    for unknown in (str(uuid4()), "nonsense", ""):
        refusal_of(lambda unknown=unknown: world.check(unknown, "123456"), "no_pending_verification")  # type: ignore[misc]


def test_no_other_owner_sees_checks_or_cancels_a_verification(world: World) -> None:
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    refusal_of(lambda: world.check(accepted.verification_id, code, owner="globex"), "no_pending_verification")
    refusal_of(lambda: world.check_phone(PHONE, code, owner="globex"), "no_pending_verification")
    refusal_of(lambda: world.cancel(accepted.verification_id, owner="globex"), "not_found")
    with pytest.raises(NotFound):
        world.verifications.get_verification(an_actor("globex"), accepted.verification_id)
    assert listed(world, owner="globex") == []
    untouched = world.verification(accepted.verification_id)
    assert (untouched.status, untouched.attempts_remaining) == (VerificationStatus.PENDING, 5)


def test_wrong_codes_count_across_new_codes_until_ten_close_the_phone_for_the_hour(world: World) -> None:
    for _ in range(2):
        latest = world.send()
        code = world.code_of(latest.verification_id)
        world.guess_wrong(latest.verification_id, 4)
        world.clock.move(30)
    latest = world.send()
    code = world.code_of(latest.verification_id)
    world.guess_wrong(latest.verification_id, 2)

    refusal = refusal_of(lambda: world.check(latest.verification_id, code), "too_many_failures")
    assert refusal.retry_after_seconds == 3600 - 60
    refusal_of(lambda: world.check_phone(PHONE, code), "too_many_failures")
    assert world.verification(latest.verification_id).attempts_remaining == 3, "an attempt was spent"


def test_wrong_codes_of_one_phone_or_owner_do_not_close_another(world: World) -> None:
    for _ in range(2):
        latest = world.send()
        world.guess_wrong(latest.verification_id, 5)
        world.clock.move(30)
    refusal_of(lambda: world.check_phone(PHONE, "000000"), "too_many_failures")
    for accepted, owner in ((world.send(phone_number(1)), "acme"), (world.send(owner="globex"), "globex")):
        assert world.check(accepted.verification_id, world.code_of(accepted.verification_id, owner=owner), owner=owner)


def test_an_approval_clears_the_wrong_codes(world: World) -> None:
    first = world.send()
    world.guess_wrong(first.verification_id, 5)
    world.clock.move(30)
    second = world.send()
    code = world.code_of(second.verification_id)
    world.guess_wrong(second.verification_id, 4)
    world.check(second.verification_id, code)
    world.clock.move(30)
    third = world.send()
    world.guess_wrong(third.verification_id, 5)
    refusal_of(lambda: world.check(third.verification_id, code), "attempts_exceeded")


def test_an_approval_clears_nobody_elses_wrong_codes(world: World) -> None:
    for _ in range(2):
        world.guess_wrong(world.send().verification_id, 5)
        world.clock.move(30)
    other = world.send(owner="globex")
    world.check(other.verification_id, world.code_of(other.verification_id, owner="globex"), owner="globex")
    refusal_of(world.send, "too_many_failures")


@pytest.mark.parametrize("ending", ["approve", "cancel", "exhaust"])
def test_what_ends_a_verification_ends_its_waiting_call(world: World, ending: str) -> None:
    accepted = world.send()
    end(world, accepted.verification_id, ending)
    assert world.call(accepted.call_id).status is CallStatus.CANCELED
    world.pass_time(15)
    assert world.provider.dials == []


@pytest.mark.parametrize("ending", ["approve", "cancel", "exhaust"])
def test_what_ends_a_verification_hangs_up_a_ringing_call(world: World, ending: str) -> None:
    accepted = world.send(NO_ANSWER)
    world.pass_time(5)
    end(world, accepted.verification_id, ending)
    world.pass_time(1)
    assert world.call(accepted.call_id).status is CallStatus.CANCELED
    assert world.live_calls() == 0


def test_an_approval_ends_the_call_that_is_reading_the_code(world: World) -> None:
    accepted = world.send()
    world.pass_time(6)
    assert world.call(accepted.call_id).status is CallStatus.SPEAKING
    world.check(accepted.verification_id, world.heard()[0])
    world.pass_time(1)
    assert world.call(accepted.call_id).status is CallStatus.COMPLETED
    assert world.live_calls() == 0


def test_a_cancel_ends_what_waits_and_is_told_when_there_is_nothing_to_cancel(world: World) -> None:
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    world.cancel(accepted.verification_id)
    canceled = world.verification(accepted.verification_id)
    assert (canceled.status, canceled.speech_sealed) == (VerificationStatus.CANCELED, None)
    refusal_of(lambda: world.cancel(accepted.verification_id), "not_pending")
    refusal_of(lambda: world.check(accepted.verification_id, code), "verification_canceled")


def test_what_has_expired_cannot_be_canceled(world: World) -> None:
    accepted = world.send()
    world.clock.move(300)
    refusal_of(lambda: world.cancel(accepted.verification_id), "not_pending")
    assert world.verification(accepted.verification_id).status is VerificationStatus.EXPIRED


def test_a_history_tells_each_call_and_what_happened_in_it(world: World) -> None:
    accepted = world.send(ttl_seconds=600)
    world.pass_time(25)
    again = world.replay(accepted.verification_id)
    world.pass_time(25)
    history = world.verifications.get_verification(an_actor(), accepted.verification_id)
    assert [item.call.call_id for item in history.calls] == [accepted.call_id, again.call_id]
    for item in history.calls:
        moments = [at for at, _ in item.events]
        assert moments == sorted(moments)
        types = [type_ for _, type_ in item.events]
        assert types[0] == "queued"
        assert types[-1] == "completed"
        assert {"dialing", "ringing", "answered", "human", "speak_code", "gather_ended"} <= set(types)
    assert history.calls[0].events[0][0] == NOON


def test_the_id_of_a_call_finds_its_verification_for_its_owner_only(world: World) -> None:
    accepted = world.send()
    found = world.verifications.get_verification(an_actor(), accepted.call_id)
    assert found.verification.verification_id == accepted.verification_id
    with pytest.raises(NotFound):
        world.verifications.get_verification(an_actor("globex"), accepted.call_id)
    with pytest.raises(NotFound):
        world.verifications.cancel_verification(an_actor("globex"), accepted.call_id)
    canceled = world.verifications.cancel_verification(an_actor(), accepted.call_id)
    assert canceled.status is VerificationStatus.CANCELED


def test_a_history_of_something_unknown_is_not_found(world: World) -> None:
    for unknown in (str(uuid4()), "nonsense"):
        with pytest.raises(NotFound):
            world.verifications.get_verification(an_actor(), unknown)
        refusal_of(lambda unknown=unknown: world.cancel(unknown), "not_found")  # type: ignore[misc]


def test_a_list_is_the_owners_own_newest_first(world: World) -> None:
    made = []
    for number in range(3):
        made.append(world.send(phone_number(number)).verification_id)
        world.clock.move(1)
    world.send(owner="globex")
    assert listed(world) == made[::-1]


def test_a_list_can_be_of_one_phone_written_in_any_way(world: World) -> None:
    wanted = world.send()
    world.send(phone_number(1))
    assert listed(world, phone="+256 (700) 123456") == [wanted.verification_id]
    assert listed(world, phone=phone_number(2)) == []


def test_a_list_can_be_of_one_status_and_knows_what_expired_before_a_sweep_does(world: World) -> None:
    approved, canceled, expired = (world.send(phone_number(n), ttl_seconds=60) for n in range(3))
    world.check(approved.verification_id, world.code_of(approved.verification_id))
    world.cancel(canceled.verification_id)
    world.clock.move(60)
    pending = world.send(phone_number(3))
    expected = {
        VerificationStatus.APPROVED: [approved.verification_id],
        VerificationStatus.CANCELED: [canceled.verification_id],
        VerificationStatus.EXPIRED: [expired.verification_id],
        VerificationStatus.PENDING: [pending.verification_id],
    }
    for _ in range(2):
        assert {status: listed(world, status=status) for status in VerificationStatus} == {
            status: expected.get(status, []) for status in VerificationStatus
        }
        world.sweep_slowly()


def test_pages_follow_each_other_without_a_gap_also_when_all_were_made_at_one_moment(world: World) -> None:
    made = {world.send(phone_number(number)).verification_id for number in range(7)}
    seen, cursor = [], None
    for _ in range(4):
        page = world.verifications.list_verifications(an_actor(), phone=None, status=None, limit=2, cursor=cursor)
        seen += [item.verification_id for item, _ in page.verifications]
        cursor = page.next_cursor
    assert cursor is None
    assert len(seen) == 7
    assert set(seen) == made


def test_a_page_stays_where_it_was_when_newer_ones_are_made(world: World) -> None:
    made = []
    for number in range(4):
        made.append(world.send(phone_number(number)).verification_id)
        world.clock.move(1)
    first = world.verifications.list_verifications(an_actor(), phone=None, status=None, limit=2, cursor=None)
    world.send(phone_number(9))
    world.cancel(made[1])
    second = world.verifications.list_verifications(
        an_actor(), phone=None, status=None, limit=2, cursor=first.next_cursor
    )
    assert [item.verification_id for item, _ in second.verifications] == [made[1], made[0]]
    assert second.next_cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "bm90IG91cnM", "ü"])
def test_a_cursor_that_is_none_of_ours_is_refused(sqlite_db: Database, cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        World(sqlite_db).verifications.list_verifications(an_actor(), phone=None, status=None, limit=2, cursor=cursor)


def test_of_48_parallel_wrong_codes_five_are_judged(world: World) -> None:
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    wrongs = [f"{(int(code) + 1 + number) % 10**6:06d}" for number in range(48)]
    counted = Counter(at_once([checking(world, accepted.verification_id, wrong) for wrong in wrongs]))
    assert counted == {"invalid_code": 5, "attempts_exceeded": 43}
    assert world.verification(accepted.verification_id).attempts_used == 5
    assert len(wrong_codes(world)) == 5


def test_of_24_parallel_right_codes_one_is_accepted(world: World) -> None:
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    counted = Counter(at_once([checking(world, accepted.verification_id, code)] * 24))
    assert counted == {"ok": 1, "code_used": 23}


def test_the_right_code_among_four_parallel_wrong_ones_wins_once(world: World) -> None:
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    guesses = [wrong_code(code)] * 4 + [code]
    counted = Counter(at_once([checking(world, accepted.verification_id, guess) for guess in guesses]))
    assert counted["ok"] == 1
    assert world.verification(accepted.verification_id).status is VerificationStatus.APPROVED
    assert set(counted) <= {"ok", "invalid_code", "code_used"}


def test_of_parallel_right_codes_and_many_wrong_ones_at_most_one_is_accepted(world: World) -> None:
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    guesses = [wrong_code(code), code] * 10
    counted = Counter(at_once([checking(world, accepted.verification_id, guess) for guess in guesses]))
    status = world.verification(accepted.verification_id).status
    assert (counted["ok"], status) in ((1, VerificationStatus.APPROVED), (0, VerificationStatus.ATTEMPTS_EXCEEDED))
    assert counted["invalid_code"] <= 5


def test_the_tenth_wrong_code_is_the_last_that_is_judged_also_of_parallel_ones(world: World) -> None:
    for count in (4, 4):
        world.guess_wrong(world.send().verification_id, count)
        world.clock.move(30)
    latest = world.send()
    wrong = wrong_code(world.code_of(latest.verification_id))
    counted = Counter(at_once([checking(world, latest.verification_id, wrong)] * 12))
    assert counted == {"invalid_code": 2, "too_many_failures": 10}
    assert len(wrong_codes(world)) == 10


def test_a_cancel_and_the_right_code_at_once_end_it_in_one_way(world: World) -> None:
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    canceled, approved = at_once(
        [lambda: world.cancel(accepted.verification_id), checking(world, accepted.verification_id, code)]
    )
    assert (canceled, approved) in (("ok", "verification_canceled"), ("not_pending", "ok"))


def test_a_newer_send_and_the_old_code_at_once_leave_no_two_truths(world: World) -> None:
    first = world.send()
    code = world.code_of(first.verification_id)
    world.clock.move(30)
    sent, checked = at_once([world.send, checking(world, first.verification_id, code)])
    assert sent == "ok"
    status = world.verification(first.verification_id).status
    assert (checked, status) in (
        ("ok", VerificationStatus.APPROVED),
        ("verification_superseded", VerificationStatus.SUPERSEDED),
    )
    assert len(listed(world, status=VerificationStatus.PENDING)) == 1


@pytest.mark.parametrize("repetition", range(3))
def test_a_guess_by_phone_that_meets_a_newer_send_is_answered_by_the_rules(world: World, repetition: int) -> None:
    phone = phone_number(repetition)
    world.send(phone)
    world.clock.move(30)
    guesses = [lambda: world.check_phone(phone, "not the code")] * 8
    sent, *judged = at_once([lambda: world.send(phone), *guesses])
    assert sent == "ok"
    assert set(judged) <= {"invalid_code", "verification_superseded", "attempts_exceeded"}


def checking(world: World, verification_id: str, code: str) -> Callable[[], object]:
    return lambda: world.check(verification_id, code)


def listed(
    world: World, *, owner: str = "acme", phone: str | None = None, status: VerificationStatus | None = None
) -> list[str]:
    page = world.verifications.list_verifications(an_actor(owner), phone=phone, status=status, limit=100, cursor=None)
    return [item.verification_id for item, _ in page.verifications]


def wrong_codes(world: World, owner: str = "acme", phone: str = PHONE) -> list[object]:
    with world.db.read() as connection:
        return list(list_wrong_codes(connection, owner, phone, ""))


def end(world: World, verification_id: str, how: str) -> None:
    if how == "approve":
        world.check(verification_id, world.code_of(verification_id))
    elif how == "cancel":
        world.cancel(verification_id)
    else:
        world.guess_wrong(verification_id, 5)
    assert outcome_of(lambda: world.cancel(verification_id)) == "not_pending"


def test_a_verification_says_by_which_token_to_which_country_and_when_it_ended(world: World) -> None:
    token = replace(an_actor(), token_id=str(uuid4()))
    wanted = NewVerification(PHONE, None, None, 6, 300)
    verification_id = world.sends.start(token, wanted).verification_id
    waiting = world.verification(verification_id)
    assert (waiting.token_id, waiting.country, waiting.ended_at, waiting.is_test) == (token.token_id, "UG", None, False)
    world.clock.move(7)
    world.check(verification_id, world.code_of(verification_id))
    assert world.verification(verification_id).ended_at == world.clock()


def test_each_wrong_code_is_noted_with_its_verification_and_never_the_code(world: World) -> None:
    accepted = world.send()
    world.guess_wrong(accepted.verification_id, 2)
    with world.db.read() as connection:
        rows = connection.execute(select(wrong_codes_table)).mappings().all()
    assert [row["verification_id"] for row in rows] == [accepted.verification_id] * 2
    assert world.code_of(accepted.verification_id) not in str(rows)
