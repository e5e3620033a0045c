"""Sessions of an app: a stranger at its public form, who knows only a phone, keeps nobody from verifying."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from letstalk.db.database import Database
from letstalk.http.idempotency import IdempotencyKey, idempotency_keys, read_idempotency_key
from letstalk.observability.redaction import redact_fields
from letstalk.operations.privacy import PrivacyService
from letstalk.verifications.models import MAX_WRONG_CODES_OF_PHONE, CallAccepted, VerificationStatus
from tests.operations.test_privacy import dump
from tests.support.apps import Api, code_of, issue_token, make_app
from tests.support.world import (
    OWNER_RATES,
    PHONE,
    PHONE_RATES,
    SEND_PATH,
    World,
    an_actor,
    at_once,
    outcome_of,
    refusal_of,
    wrong_code,
)

KEY = "bXlrZXkxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc="
VICTIM, STRANGER = "the victim's browser", "a stranger's browser"


def guess(world: World, session: str | None, code: str, *, owner: str = "acme") -> str:
    return outcome_of(lambda: world.check_phone(PHONE, code, owner=owner, session=session))


def stored(world: World, accepted: CallAccepted) -> VerificationStatus:
    return world.verification(accepted.verification_id).status


@pytest.fixture
def limited(world: World) -> World:
    """With the limits of calls that are the default."""
    return World(world.db, owner_rates=OWNER_RATES, phone_rates=PHONE_RATES)


class TestAStrangerAtAPublicForm:
    def test_wrong_codes_of_the_stranger_end_nothing_of_the_victim(self, limited: World) -> None:
        victim = limited.send(session=VICTIM)
        code = limited.code_of(victim.verification_id)
        for _ in range(2):
            limited.send(session=STRANGER)
            outcomes = [guess(limited, STRANGER, wrong_code(code)) for _ in range(6)]
            assert outcomes[:5] == ["invalid_code"] * 5
            limited.clock.move(31)
        assert outcomes[5] == "too_many_failures"
        assert guess(limited, STRANGER, code) == "too_many_failures"
        assert stored(limited, victim) is VerificationStatus.PENDING
        assert limited.verification(victim.verification_id).attempts_used == 0
        assert guess(limited, VICTIM, code) == "ok"

    def test_sends_of_the_stranger_neither_supersede_nor_delay(self, limited: World) -> None:
        victim = limited.send(session=VICTIM)
        strangers = [limited.send(session=f"{STRANGER} {number}") for number in range(2)]
        assert [stored(limited, each) for each in (victim, *strangers)] == [VerificationStatus.PENDING] * 3
        assert guess(limited, VICTIM, limited.code_of(victim.verification_id)) == "ok"
        assert {stored(limited, each) for each in strangers} == {VerificationStatus.PENDING}

    def test_the_stranger_s_send_a_moment_before_does_not_keep_the_victim_waiting(self, limited: World) -> None:
        limited.send(session=STRANGER)
        assert limited.send(session=VICTIM).call_status == "queued"
        refusal_of(lambda: limited.send(session=VICTIM), "resend_too_soon")

    def test_opening_more_sessions_ends_none_that_waits(self, limited: World) -> None:
        victim = limited.send(session=VICTIM)
        for number in range(2):
            limited.send(session=f"{STRANGER} {number}")
        refused = refusal_of(lambda: limited.send(session="one more"), "too_many_sessions")
        assert 0 < (refused.retry_after_seconds or 0) <= 300
        assert guess(limited, VICTIM, limited.code_of(victim.verification_id)) == "ok"

    def test_no_number_of_sessions_gets_around_the_calls_to_a_phone(self, limited: World) -> None:
        outcomes: Counter[str] = Counter()
        for number in range(40):
            outcomes[outcome_of(lambda: limited.send(session=f"session {number}"))] += 1  # noqa: B023
            limited.clock.move(14)
        assert outcomes["ok"] == 5
        assert set(outcomes) == {"ok", "too_many_sessions", "phone_limit"}

    def test_the_victim_s_code_is_worth_nothing_in_another_session(self, limited: World) -> None:
        victim, stranger = limited.send(session=VICTIM), limited.send(session=STRANGER)
        code = limited.code_of(victim.verification_id)
        if code == limited.code_of(stranger.verification_id):
            pytest.skip("one in a million")
        assert guess(limited, STRANGER, code) == "invalid_code"
        assert guess(limited, "made up", code) == "no_pending_verification"
        assert guess(limited, None, code) == "no_pending_verification"
        assert stored(limited, victim) is VerificationStatus.PENDING

    def test_without_sessions_all_is_as_it_was(self, limited: World) -> None:
        first = limited.send()
        refusal_of(limited.send, "resend_too_soon")
        limited.clock.move(31)
        second = limited.send()
        assert stored(limited, first) is VerificationStatus.SUPERSEDED
        assert guess(limited, VICTIM, limited.code_of(second.verification_id)) == "no_pending_verification"
        assert guess(limited, None, limited.code_of(second.verification_id)) == "ok"

    def test_sessions_and_a_verification_without_one_do_not_touch_each_other(self, limited: World) -> None:
        for number in range(3):
            limited.send(session=f"{STRANGER} {number}")
        alone = limited.send()
        code = limited.code_of(alone.verification_id)
        for _ in range(5):
            guess(limited, f"{STRANGER} 0", wrong_code(code))
        assert guess(limited, None, code) == "ok"


def test_a_newer_send_of_the_session_supersedes_its_own_only(world: World) -> None:
    other, first = world.send(session=STRANGER), world.send(session=VICTIM)
    world.clock.move(31)
    second = world.send(session=VICTIM)
    assert [stored(world, each) for each in (other, first, second)] == [
        VerificationStatus.PENDING,
        VerificationStatus.SUPERSEDED,
        VerificationStatus.PENDING,
    ]
    assert guess(world, VICTIM, world.code_of(second.verification_id)) == "ok"
    assert guess(world, VICTIM, "000000") == "code_used"


def test_a_verification_of_a_session_is_also_named_by_its_id(world: World) -> None:
    sent = world.send(session=VICTIM)
    world.pass_time(40)
    assert world.replay(sent.verification_id).verification_id == sent.verification_id
    world.check(sent.verification_id, world.code_of(sent.verification_id))
    assert stored(world, sent) is VerificationStatus.APPROVED


def test_a_replay_names_the_session_with_the_phone(world: World) -> None:
    sent = world.send(session=VICTIM)
    world.send(session=STRANGER)
    world.pass_time(80)

    def replay(session: str | None) -> CallAccepted:
        ref = world.verifications.make_ref(an_actor(), phone=PHONE, verification_id=None, session=session)
        return world.sends.replay(an_actor(), ref)

    refusal_of(lambda: replay(None), "no_pending_verification")
    assert replay(VICTIM).verification_id == sent.verification_id
    assert world.verification(sent.verification_id).replays_used == 1


def test_the_place_of_a_session_is_free_once_its_verification_is_over(world: World) -> None:
    sent = [world.send(session=f"session {number}") for number in range(3)]
    refusal_of(lambda: world.send(session="the fourth"), "too_many_sessions")
    world.cancel(sent[0].verification_id)
    world.send(session="the fourth")
    refused = refusal_of(lambda: world.send(session="the fifth"), "too_many_sessions")
    world.clock.move(refused.retry_after_seconds or 0)
    world.send(session="the fifth")  # though no sweep has ended the expired ones yet


def test_parallel_sends_of_many_sessions_leave_three(world: World) -> None:
    sends: list[Callable[[], object]] = [lambda n=n: world.send(session=f"session {n}") for n in range(8)]  # type: ignore[misc]
    counted = Counter(at_once(sends))
    assert counted == {"ok": 3, "too_many_sessions": 5}


def test_parallel_sends_of_one_session_are_one(world: World) -> None:
    assert Counter(at_once([lambda: world.send(session=VICTIM)] * 8)) == {"ok": 1, "resend_too_soon": 7}


def test_parallel_guesses_of_a_stranger_and_the_victim_s_code_do_not_meet(world: World) -> None:
    victim = world.send(session=VICTIM)
    world.send(session=STRANGER)
    code = world.code_of(victim.verification_id)
    wrong = [lambda: world.check_phone(PHONE, "not the code", session=STRANGER)] * 12
    first, *others = at_once([lambda: world.check_phone(PHONE, code, session=VICTIM), *wrong])
    assert first == "ok"
    assert Counter(others) == {"invalid_code": 5, "attempts_exceeded": 7}


def test_an_idempotent_request_is_repeated_for_its_session_only(world: World) -> None:
    def key(session: str) -> IdempotencyKey | None:
        return read_idempotency_key(SEND_PATH, "a key", {"phone": PHONE, "session": session})

    first = world.send(session=VICTIM, idempotency=key(VICTIM))
    again = world.send(session=VICTIM, idempotency=key(VICTIM))
    assert (again.verification_id, again.is_first_response) == (first.verification_id, False)
    refusal_of(lambda: world.send(session=STRANGER, idempotency=key(STRANGER)), "idempotency_key_reused")
    plain = key(VICTIM)
    assert plain is not None
    with world.db.read() as connection:
        kept = connection.execute(select(idempotency_keys.c.body_hash)).scalar_one()
    assert kept != plain.body_hash  # whose digest nobody needs a key for


class TestTheBoundOfAPhone:
    def test_after_twenty_wrong_codes_in_a_day_the_first_wrong_one_ends_a_verification(self, world: World) -> None:
        owners = ("acme", "globex", "initech", "umbrella")
        for owner in owners:
            sent = world.send(owner=owner)
            world.guess_wrong(sent.verification_id, 5, owner=owner)
        late = world.send(owner="hooli", session=STRANGER)
        code = world.code_of(late.verification_id, owner="hooli")
        wrong = refusal_of(
            lambda: world.check_phone(PHONE, wrong_code(code), owner="hooli", session=STRANGER), "invalid_code"
        )
        assert wrong.attempts_remaining == 0
        assert guess(world, STRANGER, code, owner="hooli") == "attempts_exceeded"

    def test_the_right_code_is_taken_however_many_were_wrong(self, world: World) -> None:
        self.guess_until_the_bound(world)
        victim = world.send(session=VICTIM)
        assert guess(world, VICTIM, world.code_of(victim.verification_id)) == "ok"

    def test_an_approval_does_not_make_room_for_more_guesses(self, world: World) -> None:
        self.guess_until_the_bound(world)
        for _ in range(2):
            victim = world.send(session=VICTIM)
            assert guess(world, VICTIM, world.code_of(victim.verification_id)) == "ok"
            world.clock.move(31)
        world.send(session=STRANGER)
        assert guess(world, STRANGER, "not the code") == "invalid_code"
        assert guess(world, STRANGER, "not the code") == "attempts_exceeded"

    def test_it_is_over_a_day_later(self, world: World) -> None:
        self.guess_until_the_bound(world)
        world.clock.move(86_400)
        world.sweep_slowly()
        world.send(session=STRANGER)
        assert [guess(world, STRANGER, "not the code") for _ in range(6)] == ["invalid_code"] * 5 + [
            "attempts_exceeded"
        ]

    def test_other_phones_are_not_bound(self, world: World) -> None:
        self.guess_until_the_bound(world)
        other = world.send("+256700000001")
        world.guess_wrong(other.verification_id, 2)

    def test_parallel_guesses_at_many_verifications_stay_within_it(self, world: World) -> None:
        owners = [f"owner {number}" for number in range(8)]
        for owner in owners:
            world.send(owner=owner)
        guesses: list[Callable[[], object]] = [
            lambda owner=owner: world.check_phone(PHONE, "not the code", owner=owner)  # type: ignore[misc]
            for owner in owners * 6
        ]
        judged = Counter(at_once(guesses))["invalid_code"]
        # 19 that do not end their verification, and one that ends each.
        assert judged <= MAX_WRONG_CODES_OF_PHONE - 1 + len(owners)

    @pytest.mark.parametrize("guesses_at_a_time", [5, 2, 1])
    def test_the_arithmetic_of_a_day(self, sqlite_db: Database, guesses_at_a_time: int) -> None:
        """One phone, all owners, as many sessions and guesses as a day allows: docs/security.md says 49."""
        world = World(sqlite_db, owner_rates=OWNER_RATES, phone_rates=PHONE_RATES)
        sent, judged = 0, 0
        for hour in range(24):
            targets = [(f"owner {number % 5}", f"session {number}") for number in range(hour * 12, hour * 12 + 12)]
            outcomes = [outcome_of(lambda: world.send(owner=owner, session=session)) for owner, session in targets]  # noqa: B023
            sent += outcomes.count("ok")
            for _ in range(5):
                for owner, session in targets:
                    guesses = [guess(world, session, "not the code", owner=owner) for _ in range(guesses_at_a_time)]
                    judged += guesses.count("invalid_code")
            world.clock.move(3599)
        assert sent == 30
        assert 45 <= judged <= 49

    def test_two_numbers_of_one_phone_are_bound_together(self, world: World) -> None:
        one, other = "+390549886377", "+3780549886377"
        for number in range(4):
            sent = world.send(one, session=f"{STRANGER} {number}")
            world.guess_wrong(sent.verification_id, 5)
        world.send(other, session=STRANGER)
        wrong = refusal_of(lambda: world.check_phone(other, "not the code", session=STRANGER), "invalid_code")
        assert wrong.attempts_remaining == 0

    def guess_until_the_bound(self, world: World) -> None:
        for number in range(4):
            sent = world.send(session=f"{STRANGER} {number}")
            world.guess_wrong(sent.verification_id, 5)


class TestWhatIsKept:
    def test_a_session_is_kept_as_a_keyed_digest_only(self, world: World, log_output: Any) -> None:
        key = read_idempotency_key(SEND_PATH, "a key", {"phone": PHONE, "session": VICTIM})
        world.send(session=VICTIM, idempotency=key)
        other = world.send(session=VICTIM, owner="globex")
        guess(world, VICTIM, "not the code")
        assert VICTIM not in dump(world.db)
        assert VICTIM not in log_output.getvalue()
        digests = {
            world.verifications.make_ref(
                an_actor(owner), phone=PHONE, verification_id=None, session=VICTIM
            ).session_digest
            for owner in ("acme", "globex")
        }
        assert len(digests) == 2  # nobody sees that two owners have the same session
        assert world.verification(other.verification_id, owner="globex").session_digest in digests
        assert redact_fields({"session": VICTIM}) == {"session": "[redacted]"}

    def test_a_copy_of_a_phone_s_data_says_that_there_was_one_and_an_erasure_leaves_none(self, world: World) -> None:
        world.send(session=VICTIM)
        world.send(session=STRANGER)
        guess(world, STRANGER, "not the code")
        privacy = PrivacyService(world.db, world.clock, default_region=None)
        copy = privacy.export_phone(PHONE)
        assert [each["has_session"] for each in copy["verifications"]] == [True, True]
        assert VICTIM not in json.dumps(copy)
        digest = world.verifications.make_ref(
            an_actor(), phone=PHONE, verification_id=None, session=STRANGER
        ).session_digest
        assert digest in dump(world.db)
        assert privacy.erase_phone(PHONE) == 2
        assert digest not in dump(world.db)


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, ENCRYPTION_KEYS=KEY)


@pytest.fixture
def api(app: Flask) -> Api:
    return Api(app.test_client(), issue_token(app))


class TestTheApi:
    def test_no_response_has_the_session(self, api: Api, tmp_path: Path) -> None:
        sent = api.post("/calls/otp", {"phone": PHONE, "session": VICTIM})
        assert sent.status_code == 202
        verification_id = sent.get_json()["verification_id"]
        body = {"phone": PHONE, "session": VICTIM, "code": code_of(tmp_path, KEY, verification_id)}
        assert api.post("/calls/verify", body | {"session": STRANGER}).get_json()["code"] == "no_pending_verification"
        checked = api.post("/calls/verify", body)
        assert checked.get_json()["verified"] is True
        found = [api.get(f"/calls/{verification_id}"), api.get("/calls"), sent, checked]
        assert [response.status_code for response in found] == [200, 200, 202, 200]
        assert not any("session" in response.text for response in found)

    def test_the_fourth_session_is_told_when_to_come_back(self, api: Api) -> None:
        for number in range(3):
            assert api.post("/calls/otp", {"phone": PHONE, "session": str(number)}).status_code == 202
        refused = api.post("/calls/otp", {"phone": PHONE, "session": "fourth"})
        assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_sessions")
        assert 290 <= int(refused.headers["Retry-After"]) == refused.get_json()["retry_after"] <= 300

    @pytest.mark.parametrize("session", ["", "x" * 65, "a\nb", "\x1b", 7, ["x"], {}, True])
    @pytest.mark.parametrize("path", ["/calls/otp", "/calls/verify", "/calls/replay"])
    def test_what_is_no_session_is_refused(self, api: Api, path: str, session: Any) -> None:
        code = {"code": "123456"} if path == "/calls/verify" else {}
        refused = api.post(path, {"phone": PHONE, "session": session, **code})
        assert (refused.status_code, refused.get_json()["code"]) == (400, "invalid_request")
        assert [detail["field"] for detail in refused.get_json()["details"]] == ["session"]
        assert api.get("/calls").get_json()["verifications"] == []

    @pytest.mark.parametrize("path", ["/calls/verify", "/calls/replay"])
    def test_a_session_goes_with_a_phone(self, api: Api, path: str) -> None:
        sent = api.post("/calls/otp", {"phone": PHONE, "session": VICTIM}).get_json()
        code = {"code": "123456"} if path == "/calls/verify" else {}
        refused = api.post(path, {"verification_id": sent["verification_id"], "session": VICTIM, **code})
        assert (refused.status_code, refused.get_json()["code"]) == (400, "invalid_request")
        assert "session" in refused.get_json()["error"]

    def test_any_64_characters_will_do(self, api: Api) -> None:
        session = "ünï🔑 " * 12 + "abcd"
        assert len(session) == 64
        assert api.post("/calls/otp", {"phone": PHONE, "session": session}).status_code == 202
        checked = api.post("/calls/verify", {"phone": PHONE, "session": session, "code": "000000"})
        assert checked.get_json()["verified"] in (True, False)  # judged, and not "no pending verification"
