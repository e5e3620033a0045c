"""Sends, guesses, replays, cancels and time in any order, on a real database, against a model of the contract."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from letstalk.db.database import Database
from letstalk.verifications.models import VerificationStatus
from tests.support.migrated_files import migrated_file
from tests.support.world import OWNER_RATES, PHONE, PHONE_RATES, World, outcome_of, wrong_code

OVER = {
    VerificationStatus.APPROVED: "code_used",
    VerificationStatus.EXPIRED: "code_expired",
    VerificationStatus.ATTEMPTS_EXCEEDED: "attempts_exceeded",
    VerificationStatus.CANCELED: "verification_canceled",
    VerificationStatus.SUPERSEDED: "verification_superseded",
}
owners = st.sampled_from(["acme", "globex"])


@dataclass
class Expected:
    """A verification as the contract has it."""

    verification_id: str
    code: str
    sent_at: datetime
    expires_at: datetime
    spoken_for_at: datetime
    status: VerificationStatus = VerificationStatus.PENDING
    attempts: int = 5
    replays: int = 3
    is_call_waiting: bool = True

    def status_at(self, now: datetime) -> VerificationStatus:
        is_dead = self.status is VerificationStatus.PENDING and now >= self.expires_at
        return VerificationStatus.EXPIRED if is_dead else self.status


@dataclass
class Owner:
    made: list[Expected] = field(default_factory=list)
    wrong: list[datetime] = field(default_factory=list)
    called: list[datetime] = field(default_factory=list)

    def newest(self, now: datetime) -> Expected | None:
        return self.made[-1] if self.made and now - self.made[-1].sent_at < timedelta(hours=24) else None

    def is_closed(self, now: datetime) -> bool:
        return sum(now - moment < timedelta(hours=1) for moment in self.wrong) >= 10


def is_over_a_rate(rates: tuple[object, ...], called: list[datetime], now: datetime) -> bool:
    return any(
        sum(now - moment < timedelta(seconds=rate.window_seconds) for moment in called) >= rate.amount  # type: ignore[attr-defined]
        for rate in rates
    )


class VerificationMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="letstalk-machine-"))
        (self.folder / "letstalk.db").write_bytes(migrated_file())
        self.db = Database(f"sqlite:///{self.folder}/letstalk.db")
        self.world = World(self.db, owner_rates=OWNER_RATES, phone_rates=PHONE_RATES)
        self.owners = {"acme": Owner(), "globex": Owner()}
        self.wrong_for_the_phone: list[datetime] = []

    def teardown(self) -> None:
        self.db.close()
        shutil.rmtree(self.folder)

    @property
    def now(self) -> datetime:
        return self.world.clock()

    @rule(owner=owners, ttl_seconds=st.sampled_from([60, 300, 600]))
    def send(self, owner: str, ttl_seconds: int) -> None:
        expected, known = "ok", self.owners[owner]
        if known.is_closed(self.now):
            expected = "too_many_failures"
        elif known.made and self.now - known.made[-1].sent_at < timedelta(seconds=30):
            expected = "resend_too_soon"
        elif self._may_not_be_called(known):
            expected = "phone_limit"
        outcome = outcome_of(lambda: self._send(owner, ttl_seconds))
        assert outcome == expected

    @rule(owner=owners, is_right=st.booleans(), by_phone=st.booleans())
    def verify(self, owner: str, is_right: bool, by_phone: bool) -> None:
        known = self.owners[owner]
        newest = known.newest(self.now) if by_phone else (known.made[-1] if known.made else None)
        code = newest.code if newest else "123456"
        guess = code if is_right else wrong_code(code)
        target = newest.verification_id if newest else "none"
        if by_phone:
            outcome = outcome_of(lambda: self.world.check_phone(PHONE, guess, owner=owner))
        else:
            outcome = outcome_of(lambda: self.world.check(target, guess, owner=owner))
        assert outcome == self._judge(known, newest, is_right)

    @rule(owner=owners, times=st.integers(2, 5))
    def guess_wrong_again_and_again(self, owner: str, times: int) -> None:
        for _ in range(times):
            self.verify(owner, is_right=False, by_phone=True)

    @precondition(lambda self: any(len(known.made) > 1 for known in self.owners.values()))
    @rule(data=st.data())
    def verify_an_older_code(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from([name for name, known in self.owners.items() if len(known.made) > 1]))
        known = self.owners[owner]
        older = data.draw(st.sampled_from(known.made[:-1]))
        outcome = outcome_of(lambda: self.world.check(older.verification_id, older.code, owner=owner))
        expected = "too_many_failures" if known.is_closed(self.now) else OVER[older.status_at(self.now)]
        assert outcome == expected

    @precondition(lambda self: self.owners["acme"].made)
    @rule()
    def a_stranger_tries_the_right_code(self) -> None:
        newest = self.owners["acme"].made[-1]
        outcome = outcome_of(lambda: self.world.check(newest.verification_id, newest.code, owner="globex"))
        assert outcome == "no_pending_verification"

    @precondition(lambda self: any(known.made for known in self.owners.values()))
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from([name for name, known in self.owners.items() if known.made]))
        known = self.owners[owner]
        newest = known.made[-1]
        status = newest.status_at(self.now)
        expected = "ok"
        if known.is_closed(self.now):
            expected = "too_many_failures"
        elif status is not VerificationStatus.PENDING:
            expected = OVER[status]
        elif newest.replays == 0:
            expected = "replays_exhausted"
        elif self.now - newest.spoken_for_at < timedelta(seconds=20) or newest.is_call_waiting:
            expected = "replay_too_soon"
        elif self._may_not_be_called(known):
            expected = "phone_limit"
        outcome = outcome_of(lambda: self.world.replay(newest.verification_id, owner=owner))
        # 30 s to hear it, and at most 2.5 s for the other owner's call.
        if outcome == "queue_full" and newest.expires_at - self.now < timedelta(seconds=32.5):
            return
        assert outcome == expected
        if outcome == "ok":
            newest.replays -= 1
            newest.spoken_for_at, newest.is_call_waiting = self.now, True
            known.called.append(self.now)

    @precondition(lambda self: any(known.made for known in self.owners.values()))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from([name for name, known in self.owners.items() if known.made]))
        chosen = data.draw(st.sampled_from(self.owners[owner].made))
        is_pending = chosen.status_at(self.now) is VerificationStatus.PENDING
        outcome = outcome_of(lambda: self.world.cancel(chosen.verification_id, owner=owner))
        assert outcome == ("ok" if is_pending else "not_pending")
        if is_pending:
            chosen.status = VerificationStatus.CANCELED

    @rule(seconds=st.sampled_from([1, 4, 5, 19, 20, 29, 30, 60, 240, 600, 3600, 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.move(seconds)

    @precondition(lambda self: self._all_waiting_calls_can_be_heard())
    @rule()
    def the_phone_is_called(self) -> None:
        before = len(self.world.heard())
        waiting = [made for known in self.owners.values() for made in known.made if self._waits(made)]
        self.world.pass_time(15.0 * max(1, len(waiting)))
        for made in waiting:
            made.is_call_waiting = False
        assert sorted(self.world.heard()[before:]) == sorted(made.code for made in waiting)

    @rule()
    def what_is_over_is_swept(self) -> None:
        self.world.sweep_slowly()

    @invariant()
    def everything_is_as_the_contract_has_it(self) -> None:
        for owner, known in self.owners.items():
            for made in known.made:
                stored = self.world.verification(made.verification_id, owner=owner)
                assert stored.status is made.status_at(self.now)
                assert (stored.attempts_remaining, stored.replays_remaining) == (made.attempts, made.replays)
                assert stored.expires_at == made.expires_at
                assert stored.status in (VerificationStatus.PENDING, VerificationStatus.EXPIRED) or (
                    stored.speech_sealed is None
                )

    def _send(self, owner: str, ttl_seconds: int) -> None:
        accepted = self.world.send(owner=owner, ttl_seconds=ttl_seconds)
        known = self.owners[owner]
        if known.made and known.made[-1].status is VerificationStatus.PENDING:
            is_dead = known.made[-1].expires_at <= self.now
            known.made[-1].status = VerificationStatus.EXPIRED if is_dead else VerificationStatus.SUPERSEDED
        code = self.world.code_of(accepted.verification_id, owner=owner)
        expires_at = self.now + timedelta(seconds=ttl_seconds)
        known.made.append(Expected(accepted.verification_id, code, self.now, expires_at, self.now))
        known.called.append(self.now)

    def _judge(self, known: Owner, target: Expected | None, is_right: bool) -> str:
        """What the contract says to a guess, and what it then holds."""
        if target is None:
            return "no_pending_verification"
        if known.is_closed(self.now):
            return "too_many_failures"
        if target.status_at(self.now) is not VerificationStatus.PENDING:
            return OVER[target.status_at(self.now)]
        target.attempts -= 1
        if is_right:
            target.status = VerificationStatus.APPROVED
            known.wrong.clear()
            return "ok"
        known.wrong.append(self.now)
        self.wrong_for_the_phone.append(self.now)
        in_a_day = sum(self.now - moment < timedelta(hours=24) for moment in self.wrong_for_the_phone)
        if target.attempts == 0 or in_a_day >= 20:
            target.status = VerificationStatus.ATTEMPTS_EXCEEDED
        return "invalid_code"

    def _may_not_be_called(self, known: Owner) -> bool:
        everybody = [moment for one in self.owners.values() for moment in one.called]
        return is_over_a_rate(OWNER_RATES, known.called, self.now) or is_over_a_rate(PHONE_RATES, everybody, self.now)

    def _waits(self, made: Expected) -> bool:
        return made.is_call_waiting and made.status_at(self.now) is VerificationStatus.PENDING

    def _all_waiting_calls_can_be_heard(self) -> bool:
        waiting = [made for known in self.owners.values() for made in known.made if self._waits(made)]
        return all(made.expires_at - self.now > timedelta(seconds=20 * len(waiting) + 20) for made in waiting)


TestVerificationMachine = VerificationMachine.TestCase
TestVerificationMachine.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
