"""Whether the promises were kept, by comparing Telnyx's stand-in, the database, and what the clients were told."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from tests.support.fake_telnyx import holds_code
from tools.reliability.clients import Record
from tools.reliability.fleets import Fleet
from tools.reliability.journeys import Asked, Kind

TERMINAL = frozenset({"completed", "no_answer", "busy", "rejected", "machine", "failed", "canceled", "unknown"})
BY_CAUSE = {"user_busy": "busy", "timeout": "no_answer", "call_rejected": "rejected", "not_found": "failed"}
LISTENING = frozenset(Kind) - {Kind.UNANSWERED, Kind.CANCEL, Kind.ABANDON}
RESEND_SECONDS = 30
SENDING_SECONDS = 0.2  # a busy client may need as long from the start of a request until its bytes are sent
SHOWN = 8


@dataclass
class Promise:
    """One promise: what was measured, and each observation that breaks it."""

    sentence: str
    measured: str = ""
    breaches: list[str] = field(default_factory=list)

    @property
    def is_kept(self) -> bool:
        return not self.breaches

    def as_json(self) -> dict[str, Any]:
        return {
            "promise": self.sentence,
            "kept": self.is_kept,
            "measured": self.measured,
            "breaches": self.breaches[:SHOWN],
            "breach_count": len(self.breaches),
        }


class Evidence:
    """What a run has left, read after all calls have ended."""

    def __init__(self, fleet: Fleet, record: Record, asked: list[Asked]) -> None:
        self.fleet = fleet
        self.record = record
        self.asked = [each for each in asked if each.verification_id]
        self.gave_up = [each for each in asked if each.gave_up]
        self.problems = [f"{each.kind} {each.phone}: {problem}" for each in asked for problem in each.problems]
        self.state = fleet.telnyx.state()
        now: datetime = fleet.query("SELECT now() AS now")[0]["now"]
        self.verifications = {row["verification_id"]: row for row in fleet.query("SELECT * FROM verifications")}
        for row in self.verifications.values():
            # The sweep writes it within a minute; responses say it at once.
            if row["status"] == "pending" and row["expires_at"] <= now:
                row["status"] = "expired"
        self.calls = {row["call_id"]: row for row in fleet.query("SELECT * FROM calls ORDER BY created_at")}
        self.waiting_events = fleet.query("SELECT event_id FROM webhook_events WHERE applied_at IS NULL")
        self.put_aside = fleet.query("SELECT event_id FROM webhook_events WHERE tries >= 10")
        self.placed: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for call in self.state["calls"]:
            self.placed[str(call["command_id"]).split("-dial-")[0]].append(call)


def judge(evidence: Evidence) -> list[Promise]:
    return [
        accepted_is_kept(evidence),
        each_call_ended(evidence),
        none_is_placed_twice(evidence),
        ends_follow_from_events(evidence),
        verifications_end_as_told(evidence),
        a_code_is_approved_once(evidence),
        channels_are_not_exceeded(evidence),
        no_channel_leaks(evidence),
        answers_are_described(evidence),
        connections_break_only_with_their_server(evidence),
        no_accepted_request_is_reset(evidence),
        phone_limits_hold(evidence),
        Promise("Telnyx understood every command", breaches=evidence.state["violations"]),
        Promise("Clients saw what the contract says", breaches=evidence.problems),
    ]


def accepted_is_kept(evidence: Evidence) -> Promise:
    promise = Promise("No accepted call is lost")
    count = 0
    for asked in evidence.asked:
        if asked.verification_id not in evidence.verifications:
            promise.breaches.append(f"verification {asked.verification_id} is gone")
        for call_id in asked.call_ids:
            count += 1
            if call_id not in evidence.calls:
                promise.breaches.append(f"call {call_id} is gone")
    known = {asked.verification_id for asked in evidence.asked}
    if not evidence.gave_up:
        extra = [found for found in evidence.verifications if found not in known]
        promise.breaches += [f"verification {found} was made, and no client was told" for found in extra]
    promise.measured = f"{len(evidence.asked)} verifications and {count} calls accepted, each in the database"
    return promise


def each_call_ended(evidence: Evidence) -> Promise:
    promise = Promise("Every accepted call was placed, or ended with a reason")
    placed = 0
    for call_id, call in evidence.calls.items():
        if call_id in evidence.placed:
            placed += 1
        elif not call["reason"]:
            promise.breaches.append(f"call {call_id} ({call['status']}) was not placed and has no reason")
        if call["status"] not in TERMINAL or call["ended_at"] is None:
            promise.breaches.append(f"call {call_id} is still {call['status']}")
    unheard = sum(
        not asked.was_heard for asked in evidence.asked if asked.kind not in ("unanswered", "cancel", "abandon")
    )
    promise.measured = (
        f"{placed} placed, {len(evidence.calls) - placed} ended with a reason before; "
        f"{unheard} codes that were waited for were not heard in time"
    )
    return promise


def none_is_placed_twice(evidence: Evidence) -> Promise:
    promise = Promise("No call is placed twice")
    for call_id, placed in evidence.placed.items():
        if len(placed) > 1:
            promise.breaches.append(f"call {call_id} was placed {len(placed)} times")
        if call_id not in evidence.calls:
            promise.breaches.append(f"call {call_id} was placed, and is not in the database")
    rounds = Counter(call["dial_round"] for call in evidence.calls.values())
    attempts = sum(call["dial_attempts"] > 1 for call in evidence.calls.values())
    promise.measured = (
        f"{len(evidence.placed)} calls at Telnyx, one for each; {attempts} were dialed more than once under one "
        f"command id, {sum(number for dial_round, number in rounds.items() if dial_round > 1)} under a second"
    )
    return promise


def ends_follow_from_events(evidence: Evidence) -> Promise:
    promise = Promise("Each call ends as Telnyx's events imply")
    lost = set(evidence.state["unanswered"].values())
    found: Counter[str] = Counter()
    for call_id, placed in evidence.placed.items():
        call = evidence.calls.get(call_id)
        if call is None:
            continue
        found[call["status"]] += 1
        allowed = _allowed_ends(placed[0])
        if call["status"] not in allowed and not (call["status"] == "unknown" and "call.hangup" in lost):
            promise.breaches.append(
                f"call {call_id} to {placed[0]['phone']} is {call['status']} ({call['reason']}); Telnyx: "
                f"{placed[0]['hangup_cause']}, heard {len(placed[0]['heard'])}"
            )
    if evidence.waiting_events or evidence.put_aside:
        promise.breaches.append(f"{len(evidence.waiting_events)} events wait, {len(evidence.put_aside)} were put aside")
    promise.measured = ", ".join(f"{count} {status}" for status, count in sorted(found.items()))
    promise.measured += f"; {len(evidence.state['unanswered'])} webhooks that nobody ever took"
    return promise


def _allowed_ends(placed: dict[str, Any]) -> frozenset[str]:
    heard_code = any(holds_code(payload) for payload in placed["heard"])
    if placed["hangup_cause"] in BY_CAUSE:
        # If the person gives up at the moment in which we hang up, it may be either.
        return frozenset({BY_CAUSE[placed["hangup_cause"]], "canceled"})
    if placed["phone"] in ("machine", "fax"):
        if heard_code:
            return frozenset()  # a machine must never be read a code
        # If the detection's event was six seconds late, the machine was asked to press 1, which it did not do.
        return frozenset({"machine", "canceled", "no_answer"} if placed["heard"] else {"machine", "canceled"})
    # It may be canceled, superseded or approved before we know that the code is being spoken.
    if heard_code:
        return frozenset({"completed", "canceled"})
    # The person was only asked to press 1, because the detection's event was six seconds late.
    return frozenset({"canceled", "rejected", "no_answer"} if placed["heard"] else {"canceled", "rejected"})


def verifications_end_as_told(evidence: Evidence) -> Promise:
    promise = Promise("Each verification ends in the state that its client was told")
    found: Counter[str] = Counter()
    for asked in evidence.asked:
        row = evidence.verifications.get(asked.verification_id)
        if row is None:
            continue
        found[row["status"]] += 1
        is_as_told = row["status"] in asked.expected or (row["status"] == "pending" and "expired" in asked.expected)
        if not is_as_told and not asked.gave_up:
            promise.breaches.append(
                f"{asked.kind} {asked.verification_id} is {row['status']}, expected {sorted(asked.expected)}"
            )
    promise.measured = ", ".join(f"{count} {status}" for status, count in sorted(found.items()))
    return promise


def a_code_is_approved_once(evidence: Evidence) -> Promise:
    promise = Promise("Exactly one approval per code")
    heard = [asked for asked in evidence.asked if asked.approvals]
    for asked in evidence.asked:
        approved = evidence.verifications.get(asked.verification_id, {}).get("status") == "approved"
        if asked.approvals > 1:
            promise.breaches.append(f"{asked.verification_id} was approved {asked.approvals} times")
        if asked.approvals and not approved:
            promise.breaches.append(f"{asked.verification_id} was approved, and the database does not say so")
        if approved and not asked.approvals and not asked.may_be_approved_unheard and not asked.gave_up:
            promise.breaches.append(f"{asked.verification_id} is approved, and no client was told")
    lost = sum(asked.may_be_approved_unheard and not asked.approvals for asked in evidence.asked)
    promise.measured = (
        f"{len(heard)} approved once; {lost} more whose response was lost got `code_used` when tried again"
    )
    return promise


def channels_are_not_exceeded(evidence: Evidence) -> Promise:
    state, channels = evidence.state, evidence.fleet.channels
    promise = Promise(f"At most {channels} live calls, and one per phone")
    if state["max_live"] > channels:
        promise.breaches.append(f"{state['max_live']} were live at once")
    if state["max_live_per_phone"] > 1:
        promise.breaches.append(f"{state['max_live_per_phone']} were live to one phone")
    promise.measured = f"at most {state['max_live']} live, {state['max_live_per_phone']} to one phone"
    return promise


def no_channel_leaks(evidence: Evidence) -> Promise:
    promise = Promise("No channel is leaked")
    promise.breaches = [
        f"call {call_id} ({call['status']}) holds a channel"
        for call_id, call in evidence.calls.items()
        if call["holds_channel"]
    ]
    promise.measured = f"{len(promise.breaches)} held after the drain, {evidence.state['live']} live at Telnyx"
    return promise


def answers_are_described(evidence: Evidence) -> Promise:
    promise = Promise("No 5xx except the documented 503s", breaches=list(evidence.record.undescribed))
    later = Counter(code for (_, status, code), n in evidence.record.answers.items() if status == 503 for _ in range(n))
    total = sum(evidence.record.answers.values())
    promise.measured = f"{total} responses, of them 503: {dict(later) or 'none'}"
    return promise


def connections_break_only_with_their_server(evidence: Evidence) -> Promise:
    promise = Promise("Connections break only with their server")
    for broken in evidence.record.broken:
        server = evidence.fleet.servers[broken.server]
        if not server.was_down(broken.since - 0.5, broken.until + 0.5):
            promise.breaches.append(f"{server.name} was up: {broken.error} after {broken.until - broken.since:.1f} s")
    promise.measured = f"{len(evidence.record.broken)} broken, each by a server that was down"
    return promise


def no_accepted_request_is_reset(evidence: Evidence) -> Promise:
    """A request that was sent before SIGTERM gets its response.

    One that is sent later may meet a server that accepts nothing more, as when it closes an idle connection.
    """
    promise = Promise("No accepted request is reset by SIGTERM")
    stops = {number: server.stops for number, server in enumerate(evidence.fleet.servers)}
    for broken in evidence.record.broken:
        server = evidence.fleet.servers[broken.server]
        for asked_at, ended_at in stops[broken.server]:
            was_before = broken.since < asked_at - SENDING_SECONDS and asked_at <= broken.until <= ended_at + 0.5
            if broken.was_connected and was_before:
                seconds = asked_at - broken.since
                promise.breaches.append(f"{server.name}: {broken.error}, sent {seconds:.2f} s before SIGTERM")
    promise.measured = f"{sum(map(len, stops.values()))} stops"
    return promise


def phone_limits_hold(evidence: Evidence) -> Promise:
    """5 accepted calls in 10 minutes and 30 s between two sends, per owner and phone."""
    promise = Promise("Phone limits and minimum waits hold")
    calls: defaultdict[tuple[str, str], list[datetime]] = defaultdict(list)
    for call in evidence.calls.values():
        calls[call["user_id"], call["phone"]].append(call["created_at"])
    for (_, phone), moments in calls.items():
        for first, sixth in zip(moments, moments[5:], strict=False):
            if sixth - first < timedelta(minutes=10):
                promise.breaches.append(f"{phone} was called six times in {sixth - first}")
    sends: defaultdict[tuple[str, str], list[datetime]] = defaultdict(list)
    for row in sorted(evidence.verifications.values(), key=lambda row: row["created_at"]):
        sends[row["user_id"], row["phone"]].append(row["created_at"])
    for (_, phone), moments in sends.items():
        for earlier, later in pairwise(moments):
            if later - earlier < timedelta(seconds=RESEND_SECONDS):
                promise.breaches.append(f"{phone} was sent to again after {later - earlier}")
    most = max((len(moments) for moments in calls.values()), default=0)
    promise.measured = f"{len(calls)} pairs of owner and phone, at most {most} calls to one"
    return promise
