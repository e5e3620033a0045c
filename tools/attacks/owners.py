"""Access to data of another owner, which must look like data that does not exist."""

from __future__ import annotations

import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

import httpx

from tools.attacks.targets import Target
from tools.attacks.trials import Attack, Trial, attack, outline


@attack("404, and the verification is unchanged")
def reach_across(target: Target, trial: Trial) -> None:
    """Read, check, replay and cancel another owner's verification"""
    one, other = target.owner("a"), target.owner("b")
    phone = target.phone()
    verification_id = one.send(phone)
    for spelled in (verification_id, verification_id.upper()):
        trial.see_answer(other.get(f"/calls/{spelled}"), 404, what="see")
        trial.see_answer(other.post(f"/calls/{spelled}/cancel"), 404, what="cancel")
    for aim in ({"phone": phone}, {"verification_id": verification_id}, {"verification_id": f"{{{verification_id}}}"}):
        trial.see_answer(other.post("/calls/verify", {**aim, "code": "000000"}), 404, what="verify")
        trial.see_answer(other.post("/calls/replay", aim), 404, what="replay")
    listed = other.get("/calls", phone=phone).json().get("verifications")
    trial.see(f"listed: {len(listed or [])}", holds=listed == [])
    after = one.get(f"/calls/{verification_id}").json()
    left = (after.get("status"), after.get("attempts_remaining"), after.get("replays_remaining"))
    untouched = left == ("pending", 5, 3)
    trial.see("untouched" if untouched else "changed", holds=untouched)


@attack("the same status, text and headers")
def enumerate_others(target: Target, trial: Trial) -> None:
    """Distinguish another owner's phones, verifications and tokens from missing ones"""
    one, other = target.owner("a"), target.issue("b", ["read", "write", "tokens:read", "tokens:write"])
    phone, unknown = target.phone(), target.phone()
    verification_id, no_id = one.send(phone), str(uuid.uuid4())
    pairs: dict[str, Callable[[str], httpx.Response]] = {
        "verify by phone": lambda aim: other.post("/calls/verify", {"phone": aim, "code": "000000"}),
        "replay by phone": lambda aim: other.post("/calls/replay", {"phone": aim}),
        "list by phone": lambda aim: other.get("/calls", phone=aim),
        "verify by id": lambda aim: other.post("/calls/verify", {"verification_id": aim, "code": "000000"}),
        "see by id": lambda aim: other.get(f"/calls/{aim}"),
        "cancel by id": lambda aim: other.post(f"/calls/{aim}/cancel"),
        "token": lambda aim: other.get(f"/api/tokens/{aim}"),
        "token's patch": lambda aim: other.ask("PATCH", f"/api/tokens/{aim}", json={"name": "x"}),
        "token's rotation": lambda aim: other.post(f"/api/tokens/{aim}/rotate"),
        "token's end": lambda aim: other.ask("DELETE", f"/api/tokens/{aim}"),
        "tokens of": lambda aim: other.get("/api/tokens", user_id=aim),
    }
    known = {"by phone": (phone, unknown), "by id": (verification_id, no_id), "token": (one.token_id, no_id)}
    for name, ask in pairs.items():
        theirs, nobodys = next((pair for words, pair in known.items() if words in name), (one.owner_id, "nobody"))
        alike = outline(ask(theirs)) == outline(ask(nobodys))
        trial.see(f"{name}: {'alike' if alike else 'different'}", holds=alike)


@attack("400, or a page with only one's own data")
def bend_cursors(target: Target, trial: Trial) -> None:
    """Continue from a cursor of another owner, or from a forged one"""
    one, other = target.owner("a"), target.owner("b")
    for _ in range(3):
        one.send(target.phone())
    cursor = one.get("/calls", limit=1).json().get("next_cursor") or ""
    later = _rewritten(cursor, lambda text: "2999-01-01T00:00:00+00:00 " + text.split(" ")[-1])
    odd = ["", "0", "-1", "../..", "' OR 1=1 --", "%00", "\u0660", cursor[:-3], cursor + "AAAA", cursor * 3]
    odd += [_rewritten(cursor, mark.join) for mark in ("'", "\n", " x", "\0")]
    for chosen in (cursor, later, *odd):
        answer = other.get("/calls", cursor=chosen)
        theirs = {item["verification_id"] for item in one.get("/calls", limit=100).json()["verifications"]}
        got = {item["verification_id"] for item in answer.json().get("verifications", [])}
        trial.see(f"{answer.status_code}", holds=answer.status_code in (200, 400) and not got & theirs)


def _rewritten(cursor: str, change: Callable[[str], str]) -> str:
    text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("utf-8", "replace")
    return urlsafe_b64encode(change(text).encode()).decode().rstrip("=")


ATTACKS: tuple[Attack, ...] = (reach_across, enumerate_others, bend_cursors)
