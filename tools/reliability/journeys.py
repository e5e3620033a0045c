"""What clients and people do: request a code, hear it, send it right, wrong or twice, request another, or give up."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from tools.reliability.clients import Answer, Client
from tools.reliability.heard_codes import HeardCodes

CODE_SECONDS = 150  # the lifetime of a code that will be used
UNUSED_CODE_SECONDS = 60  # and of one that will not
LISTEN_SECONDS = 5.0  # until it is checked whether the call has ended
REPLAY_PAUSE_SECONDS = 20.5
RESEND_PAUSE_SECONDS = 30.5


class Kind(StrEnum):
    SIMPLE = "simple"  # sends the right code
    WRONG_FIRST = "wrong_first"  # sends a wrong code first
    AT_ONCE = "at_once"  # sends the right code twice at the same time
    REPLAY = "replay"  # requests a replay
    CANCEL = "cancel"
    GUESS = "guess"  # five wrong codes, then the right one
    ABANDON = "abandon"  # hears the code and does nothing
    AGAIN = "again"  # requests another code, and sends the first one too
    UNANSWERED = "unanswered"  # busy, no answer, rejected or a machine


QUICK = (Kind.SIMPLE, Kind.WRONG_FIRST, Kind.AT_ONCE, Kind.CANCEL, Kind.GUESS)


@dataclass
class Asked:
    """One verification as its client knows it.

    `expected` are the statuses in which it may end. `problems` are responses that the contract does not allow.
    """

    kind: Kind
    owner: str
    phone: str
    verification_id: str = ""
    call_ids: list[str] = field(default_factory=list)
    expected: frozenset[str] = frozenset()
    approvals: int = 0
    may_be_approved_unheard: bool = False  # the response of an approval may have been lost
    was_heard: bool = False
    gave_up: bool = False
    problems: list[str] = field(default_factory=list)


class Journey:
    def __init__(
        self, client: Client, heard_codes: HeardCodes, asked: list[Asked], owner: str, phone: str, kind: Kind
    ) -> None:
        self._client = client
        self._heard_codes = heard_codes
        self._asked = asked
        self.current = Asked(kind, owner, phone)

    def go(self) -> None:
        steps: dict[Kind, Callable[[], None]] = {
            Kind.SIMPLE: self._send_code,
            Kind.WRONG_FIRST: self._send_wrong_code,
            Kind.AT_ONCE: self._send_code_twice,
            Kind.REPLAY: self._replay,
            Kind.CANCEL: self._cancel,
            Kind.GUESS: self._guess,
            Kind.ABANDON: lambda: None,
            Kind.AGAIN: self._request_another,
            Kind.UNANSWERED: lambda: None,
        }
        kind = self.current.kind
        self._heard_before = len(self._heard_codes.codes(self.current.phone))
        if not self._send(UNUSED_CODE_SECONDS if kind in (Kind.ABANDON, Kind.UNANSWERED) else CODE_SECONDS):
            return
        steps[kind]()

    def _send(self, lifetime_seconds: int) -> bool:
        asked = self.current
        body = {"phone": asked.phone, "expires_in": lifetime_seconds}
        answer = self._client.ask("POST", "/calls/otp", body, key=str(uuid.uuid4()))
        if answer is None:
            asked.gave_up = True
        elif answer.status == 202:
            asked.verification_id = answer.body["verification_id"]
            asked.call_ids.append(answer.body["call_id"])
            # If nobody does anything: `expired`, or `failed` if no call could be placed in time.
            asked.expected = frozenset({"expired", "failed"})
        elif answer.code not in ("resend_too_soon", "phone_limit", "too_many_failures"):
            asked.problems.append(f"the response to a send was {answer.status} {answer.code}")
        self._asked.append(asked)
        return bool(asked.verification_id)

    def _listen(self, seconds: float = CODE_SECONDS + 15) -> str | None:
        deadline = time.monotonic() + seconds
        is_over = False
        while (code := self._heard_codes.next_code(self.current.phone, self._heard_before, LISTEN_SECONDS)) is None:
            if is_over or time.monotonic() > deadline:
                return None
            is_over = self._is_call_over()
        self._heard_before += 1
        self.current.was_heard = True
        return code

    def _is_call_over(self) -> bool:
        """Whether all calls have ended, so that the code cannot be heard any more."""
        answer = self._client.ask("GET", f"/calls/{self.current.verification_id}")
        return answer is not None and all(call["ended_at"] for call in answer.body.get("calls", ()))

    def _verify(self, code: str) -> Answer | None:
        answer = self._client.ask("POST", "/calls/verify", self._target() | {"code": code})
        if answer is None:
            self.current.gave_up = True
        elif answer.status == 200:
            self.current.approvals += 1
            self.current.expected = frozenset({"approved"})
        return answer

    def _target(self) -> dict[str, str]:
        # By phone or by id. Both name the newest verification here.
        if random.random() < 0.5 and self.current.kind is not Kind.AGAIN:
            return {"phone": self.current.phone}
        return {"verification_id": self.current.verification_id}

    def _settle(self, answer: Answer | None) -> None:
        """Derive the expected end of the verification from the response to a right code."""
        if answer is None or answer.status == 200:
            return
        if answer.code == "code_used" and (answer.was_uncertain or self.current.may_be_approved_unheard):
            self.current.may_be_approved_unheard = True
            self.current.expected = frozenset({"approved"})
        elif answer.code == "code_expired":
            self.current.expected = frozenset({"expired"})
        else:
            self.current.problems.append(f"the response to the right code was {answer.status} {answer.code}")

    def _send_code(self) -> None:
        code = self._listen()
        if code is None:
            return
        self._settle(self._verify(code))
        if self.current.approvals and random.random() < 0.2:
            second = self._client.ask("POST", "/calls/verify", self._target() | {"code": code})
            if second is not None and second.code != "code_used":
                self.current.approvals += second.status == 200
                self.current.problems.append(f"the response to a used code was {second.status} {second.code}")

    def _send_wrong_code(self) -> None:
        code = self._listen()
        if code is None:
            return
        answer = self._verify(_another(code))
        if answer is not None and answer.code not in ("invalid_code", "code_expired"):
            self.current.problems.append(f"the response to a wrong code was {answer.status} {answer.code}")
        self._settle(self._verify(code))

    def _send_code_twice(self) -> None:
        code = self._listen()
        if code is None:
            return
        answers: list[Answer | None] = []
        threads = [threading.Thread(target=lambda: answers.append(self._verify(code))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # A request that got no response, or was tried again, may be the one that approved it.
        is_unsure = any(answer is None or answer.was_uncertain for answer in answers)
        self.current.may_be_approved_unheard = self.current.approvals > 0 or is_unsure
        for answer in answers:
            self._settle(answer)

    def _replay(self) -> None:
        first = self._listen()
        if first is None:
            return
        time.sleep(REPLAY_PAUSE_SECONDS)
        answer = self._client.ask("POST", "/calls/replay", self._target(), key=str(uuid.uuid4()))
        if answer is not None and answer.status == 202:
            if answer.body["call_id"] not in self.current.call_ids:
                self.current.call_ids.append(answer.body["call_id"])
            again = self._listen(60)
            if again is not None and again != first:
                self.current.problems.append("a replay spoke another code")
        elif answer is not None and answer.code not in ("replay_too_soon", "code_expired"):
            self.current.problems.append(f"the response to a replay was {answer.status} {answer.code}")
        self._settle(self._verify(first))

    def _cancel(self) -> None:
        time.sleep(random.uniform(0.0, 4.0))
        answer = self._client.ask("POST", f"/calls/{self.current.verification_id}/cancel", {})
        if answer is None:
            self.current.gave_up = True
        elif answer.status == 200 or (answer.code == "not_pending" and answer.was_uncertain):
            self.current.expected = frozenset({"canceled"})
        else:
            self.current.problems.append(f"the response to a cancel was {answer.status} {answer.code}")

    def _guess(self) -> None:
        code = self._listen()
        if code is None:
            return
        # A wrong code whose response was lost is sent again and counts twice, so there may be fewer than five.
        for _ in range(5):
            answer = self._verify(_another(code))
            if answer is not None and answer.code == "attempts_exceeded":
                break
            if answer is not None and answer.code not in ("invalid_code", "code_expired"):
                self.current.problems.append(f"the response to a guess was {answer.status} {answer.code}")
        answer = self._verify(code)
        if answer is not None and answer.code == "attempts_exceeded":
            self.current.expected = frozenset({"attempts_exceeded"})
        elif answer is not None and answer.code != "code_expired":
            self.current.problems.append(f"the response to the right code after five guesses was {answer.status}")

    def _request_another(self) -> None:
        first = self._listen()
        time.sleep(RESEND_PAUSE_SECONDS)
        older = self.current
        self.current = Asked(older.kind, older.owner, older.phone)
        if not self._send(CODE_SECONDS):
            return
        older.expected = frozenset({"superseded", "expired", "failed"})
        code = self._listen()
        if code is None:
            return
        if first is not None and first != code:
            stale = self._client.ask("POST", "/calls/verify", {"verification_id": older.verification_id, "code": first})
            if stale is not None and stale.status == 200:
                older.problems.append("a superseded code was accepted")
        self._settle(self._verify(code))


def _another(code: str) -> str:
    return f"{(int(code) + random.randrange(1, 10 ** len(code))) % 10 ** len(code):0{len(code)}}"
