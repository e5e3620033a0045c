"""Rights that a token does not have, by making, changing and rotating tokens, or by a false address."""

from __future__ import annotations

import time
from typing import Any

from tools.attacks.targets import Caller, Target
from tools.attacks.trials import Attack, Trial, attack

HOUR = 3600
WIDER: dict[str, dict[str, Any]] = {
    "admin": {"scopes": ["admin"]},
    "another scope": {"scopes": ["calls:read"]},
    "default scopes": {},
    "never expiring": {"expires_in": None},
    "a later expiry": {"expires_in": 100 * HOUR},
    "any address": {"allowed_ips": None},
    "wider addresses": {"allowed_ips": ["126.0.0.0/7", "::1"]},
    "all of IPv6": {"allowed_ips": ["127.0.0.0/8", "::/0"]},
    "mapped IPv6": {"allowed_ips": ["::ffff:0:0/96"]},
    "a higher rate": {"rate_limit": "10000 per minute"},
    "no rate": {"rate_limit": None},
    "a shorter window": {"rate_limit": "50 per second"},
}
WITHIN: dict[str, Any] = {
    "scopes": ["otp:send"], "expires_in": 60, "allowed_ips": ["127.0.0.1", "::1"], "rate_limit": "50 per minute",
}  # fmt: skip
FORWARDING = (
    "X-Forwarded-For", "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP", "Fastly-Client-IP",
    "X-Originating-IP", "X-Remote-Addr", "X-Cluster-Client-IP", "REMOTE_ADDR", "X_Forwarded_For",
)  # fmt: skip


def bounded(target: Target) -> Caller:
    """A token that may make tokens and has every limit that a token can have."""
    return target.issue(
        "bounded",
        ["otp:send", "tokens:read", "tokens:write"],
        expires_in=HOUR,
        allowed_ips=["127.0.0.0/8", "::1"],
        rate_limit="100 per minute",
    )


@attack("403")
def make_wider(target: Target, trial: Trial) -> None:
    """Make a token with more rights than one's own"""
    caller = bounded(target)
    for name, fields in WIDER.items():
        body = {**WITHIN, **fields} if fields else {}
        trial.see_answer(caller.post("/api/tokens", body), 403, what=name)
    trial.see_answer(caller.post("/api/tokens", {**WITHIN, "user_id": target.owner_id("a")}), 403, what="another owner")
    for odd in ("otp:send tokens:read", "OTP:SEND", "admin ", "*", "otp:*", "\u0430dmin"):
        trial.see_answer(caller.post("/api/tokens", {**WITHIN, "scopes": [odd]}), 400, what="odd scope")


@attack("403; other owners' tokens are 404")
def change_wider(target: Target, trial: Trial) -> None:
    """Give more rights to one's own token, or to another owner's"""
    caller, stranger = bounded(target), target.owner("a")
    for name, fields in WIDER.items():
        if fields:
            trial.see_answer(caller.ask("PATCH", f"/api/tokens/{caller.token_id}", json=fields), 403, what=name)
    trial.see_answer(caller.ask("PATCH", f"/api/tokens/{caller.token_id}", json={"user_id": stranger.owner_id}), 400)
    for method, path, body in (
        ("GET", "", None), ("PATCH", "", {"name": "mine"}), ("POST", "/rotate", {}), ("DELETE", "", None),
    ):  # fmt: skip
        answer = caller.ask(method, f"/api/tokens/{stranger.token_id}{path}", json=body)
        trial.see_answer(answer, 404, what=f"{method} another owner's")


@attack("403 or 404: a rotation gives no further rights")
def rotate_wider(target: Target, trial: Trial) -> None:
    """Obtain a token with more rights of the same owner by rotating it"""
    caller = bounded(target)
    narrow = ["otp:send"]
    siblings = {
        "wider scopes": target.issue("bounded", ["admin"]),
        "another scope": target.issue("bounded", ["otp:send", "calls:read"], expires_in=60, allowed_ips=["127.0.0.1"]),
        "no expiry": target.issue("bounded", narrow, allowed_ips=["127.0.0.1"], rate_limit="1 per minute"),
        "anywhere": target.issue("bounded", narrow, expires_in=60, rate_limit="1 per minute"),
        "default rate": target.issue("bounded", narrow, expires_in=60, allowed_ips=["127.0.0.1"]),
    }
    for name, sibling in siblings.items():
        trial.see_answer(caller.post(f"/api/tokens/{sibling.token_id}/rotate"), 403, 404, what=name)
        # A token with fewer limits may be renamed, but this must give no further rights.
        patched = caller.ask("PATCH", f"/api/tokens/{sibling.token_id}", json={"scopes": ["otp:send", "tokens:read"]})
        trial.see_answer(patched, 403, 404, what=f"{name}, one more scope")


@attack("403; what it created ends with it")
def take_over(target: Target, trial: Trial) -> None:
    """Take a token beside one's own or above it by rotating it, and outlive one's own revocation"""
    scopes = ["otp:send", "tokens:read", "tokens:write"]
    above, beside = target.issue("bounded", scopes), target.issue("bounded", scopes)
    stolen = above.post("/api/tokens", {"scopes": scopes}).json()
    caller = Caller(target.client(Authorization=f"Bearer {stolen['token']}"), "", stolen["token"], stolen["token_id"])
    for victim in (above, beside):
        path = f"/api/tokens/{victim.token_id}"
        trial.see_answer(caller.post(f"{path}/rotate", {"grace_seconds": 0}), 403, what="rotated")
        trial.see_answer(caller.ask("PATCH", path, json={"expires_in": 1}), 403, what="shortened")
        trial.see_answer(caller.ask("DELETE", path), 403, what="revoked")
        trial.see_answer(victim.get("/api/tokens/current"), 200, what="its holder")
    own = caller.post(f"/api/tokens/{caller.token_id}/rotate").json()
    made = caller.post("/api/tokens", {"scopes": ["otp:send"], "expires_in": 60}).json()
    trial.see_answer(caller.post(f"/api/tokens/{own['token_id']}/rotate"), 403, what="the one that replaced it")
    target.admin.ask("DELETE", f"/api/tokens/{caller.token_id}", params={"cascade": "true"})
    time.sleep(1.1)
    for kept in (stolen, own, made):
        http = target.client(Authorization=f"Bearer {kept['token']}")
        trial.see_answer(http.get("/api/tokens/current"), 401, what="after the revocation")


@attack("403 insufficient_scope")
def overstep(target: Target, trial: Trial) -> None:
    """Call routes without the scope, with other methods too"""
    reader, writer = target.issue("a", ["read"]), target.issue("a", ["write"])
    phone, some_id = target.phone(), reader.token_id
    for path in ("/calls/otp", "/calls/verify", "/calls/replay", f"/calls/{some_id}/cancel"):
        trial.see_answer(reader.post(path, {"phone": phone, "code": "123456"}), 403)
    unread = ((writer, "/calls"), (writer, f"/calls/{some_id}"), (reader, "/api/tokens"), (writer, "/metrics"))
    for caller, path in unread:
        trial.see_answer(caller.get(path), 403)
        trial.see_answer(caller.ask("HEAD", path), 403)
    trial.see_answer(reader.post("/api/tokens", {}), 403)
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        overriding = {header.replace("-", "_"): "DELETE"}
        reader.post(f"/api/tokens/{some_id}?_method=DELETE", {"_method": "DELETE"}, **overriding)
        trial.see_answer(reader.get("/api/tokens/current"), 200, what="after an override the token lives:")


@attack("403 address_not_allowed, whatever the headers say")
def spoof_address(target: Target, trial: Trial) -> None:
    """Use a token that is bound to another address (TRUSTED_PROXIES=0)"""
    allowed = ("203.0.113.7", "2001:db8::7")
    caller = target.issue("a", ["read"], allowed_ips=list(allowed))
    for address in (*allowed, "::ffff:203.0.113.7"):
        for name in FORWARDING:
            trial.see_answer(caller.http.get("/calls", headers={name: address}), 403)
        for value in (f"for={address}", f'for="[{address}]:80";by={address}', f"for={address}, for=127.0.0.1"):
            trial.see_answer(caller.http.get("/calls", headers={"Forwarded": value}), 403)
        many = {"X-Forwarded-For": f"{address}, {address}, {address}", "X-Forwarded-Host": address, "Host": address}
        trial.see_answer(caller.http.get("/calls", headers=many), 403)


ATTACKS: tuple[Attack, ...] = (make_wider, change_wider, rotate_wider, take_over, overstep, spoof_address)
