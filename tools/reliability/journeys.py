"""What people do: ask for a code, hear it, type it right or wrong or twice, ask again, give up."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from tools.reliability.clients import Answer, Client
from tools.reliability.ears import Ears

CODE_SECONDS = 150  # how long a code lives that someone means to use
UNUSED_CODE_SECONDS = 60  # and one that nobody will
LISTEN_SECONDS = 5.0  # before a person looks whether the call is over
REPLAY_PAUSE_SECONDS = 20.5
RESEND_PAUSE_SECONDS = 30.5


class Kind(StrEnum):
    SIMPLE = "simple"  # types the code
    WRONG_FIRST = "wrong_first"  # mistypes it once
    AT_ONCE = "at_once"  # sends the right code twice at the same time
    REPLAY = "replay"  # asks to hear it again
    CANCEL = "cancel"
    GUESS = "guess"  # five wrong codes, then the right one
    ABANDON = "abandon"  # hears it and does nothing
    AGAIN = "again"  # asks for another code, and types the first one too
    UNANSWERED = "unanswered"  # busy, no answer, rejected or a machine


QUICK = (Kind.SIMPLE, Kind.WRONG_FIRST, Kind.AT_ONCE, Kind.CANCEL, Kind.GUESS)


@dataclass
class Asked:
    """One verification as its client knows it. `expected` are the statuses that it may end in; `problems` say what
    the service answered that it should not have.
    """

    kind: Kind
    owner: str
    phone: str
    verification_id: str = ""
    call_ids: list[str] = field(default_factory=list)
    expected: frozenset[str] = frozenset()
    approvals: int = 0
    may_be_approved_unheard: bool = False  # an approval's answer may have been lost
    was_heard: bool = False
    gave_up: bool = False
    problems: list[str] = field(default_factory=list)


class Journey:
    def __init__(self, client: Client, ears: Ears, asked: list[Asked], owner: str, phone: str, kind: Kind) -> None:
        self._client = client
        self._ears = ears
        self._asked = asked
        self.current = Asked(kind, owner, phone)

    def go(self) -> None:
        steps: dict[Kind, Callable[[], None]] = {
            Kind.SIMPLE: self._type_it,
            Kind.WRONG_FIRST: self._mistype_it,
            Kind.AT_ONCE: self._type_it_at_once,
            Kind.REPLAY: self._hear_it_again,
            Kind.CANCEL: self._cancel,
            Kind.GUESS: self._guess,
            Kind.ABANDON: lambda: None,
            Kind.AGAIN: self._ask_again,
            Kind.UNANSWERED: lambda: None,
        }
        kind = self.current.kind
        self._heard_before = len(self._ears.codes(self.current.phone))
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
            # What becomes of it if nobody does anything. `failed` where no call could be placed in time.
            asked.expected = frozenset({"expired", "failed"})
        elif answer.code not in ("resend_too_soon", "phone_limit", "too_many_failures"):
            asked.problems.append(f"a send was answered {answer.status} {answer.code}")
        self._asked.append(asked)
        return bool(asked.verification_id)

    def _listen(self, seconds: float = CODE_SECONDS + 15) -> str | None:
        deadline = time.monotonic() + seconds
        is_over = False
        while (code := self._ears.next_code(self.current.phone, self._heard_before, LISTEN_SECONDS)) is None:
            if is_over or time.monotonic() > deadline:
                return None
            is_over = self._is_call_over()
        self._heard_before += 1
        self.current.was_heard = True
        return code

    def _is_call_over(self) -> bool:
        """Whether no call is left in which the code could still be heard: nobody waits for that."""
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
        # By phone, or by id: both name the newest verification here.
        if random.random() < 0.5 and self.current.kind is not Kind.AGAIN:
            return {"phone": self.current.phone}
        return {"verification_id": self.current.verification_id}

    def _settle(self, answer: Answer | None) -> None:
        """Note what the answer to a right code says of the verification's end."""
        if answer is None or answer.status == 200:
            return
        if answer.code == "code_used" and (answer.was_uncertain or self.current.may_be_approved_unheard):
            self.current.may_be_approved_unheard = True
            self.current.expected = frozenset({"approved"})
        elif answer.code == "code_expired":
            self.current.expected = frozenset({"expired"})
        else:
            self.current.problems.append(f"the right code was answered {answer.status} {answer.code}")

    def _type_it(self) -> None:
        code = self._listen()
        if code is None:
            return
        self._settle(self._verify(code))
        if self.current.approvals and random.random() < 0.2:
            second = self._client.ask("POST", "/calls/verify", self._target() | {"code": code})
            if second is not None and second.code != "code_used":
                self.current.approvals += second.status == 200
                self.current.problems.append(f"a used code was answered {second.status} {second.code}")

    def _mistype_it(self) -> None:
        code = self._listen()
        if code is None:
            return
        answer = self._verify(_another(code))
        if answer is not None and answer.code not in ("invalid_code", "code_expired"):
            self.current.problems.append(f"a wrong code was answered {answer.status} {answer.code}")
        self._settle(self._verify(code))

    def _type_it_at_once(self) -> None:
        code = self._listen()
        if code is None:
            return
        answers: list[Answer | None] = []
        threads = [threading.Thread(target=lambda: answers.append(self._verify(code))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # One that was given up on, or tried again, may have been what approved it.
        is_unsure = any(answer is None or answer.was_uncertain for answer in answers)
        self.current.may_be_approved_unheard = self.current.approvals > 0 or is_unsure
        for answer in answers:
            self._settle(answer)

    def _hear_it_again(self) -> None:
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
            self.current.problems.append(f"a replay was answered {answer.status} {answer.code}")
        self._settle(self._verify(first))

    def _cancel(self) -> None:
        time.sleep(random.uniform(0.0, 4.0))
        answer = self._client.ask("POST", f"/calls/{self.current.verification_id}/cancel", {})
        if answer is None:
            self.current.gave_up = True
        elif answer.status == 200 or (answer.code == "not_pending" and answer.was_uncertain):
            self.current.expected = frozenset({"canceled"})
        else:
            self.current.problems.append(f"a cancel was answered {answer.status} {answer.code}")

    def _guess(self) -> None:
        code = self._listen()
        if code is None:
            return
        # A wrong code whose answer was lost is sent again, and is another attempt: so there may be fewer than five.
        for _ in range(5):
            answer = self._verify(_another(code))
            if answer is not None and answer.code == "attempts_exceeded":
                break
            if answer is not None and answer.code not in ("invalid_code", "code_expired"):
                self.current.problems.append(f"a guess was answered {answer.status} {answer.code}")
        answer = self._verify(code)
        if answer is not None and answer.code == "attempts_exceeded":
            self.current.expected = frozenset({"attempts_exceeded"})
        elif answer is not None and answer.code != "code_expired":
            self.current.problems.append(f"the right code after five guesses was answered {answer.status}")

    def _ask_again(self) -> None:
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
