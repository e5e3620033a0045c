"""Tokens: guessed, changed, mixed, revoked, or sent in the wrong place."""

from __future__ import annotations

import secrets
import string
import time
import zlib

from tools.attacks.targets import Target, patiently
from tools.attacks.trials import Attack, Trial, attack, code_of, outline

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
WHO_AM_I = "/api/tokens/current"
REFUSED = (401, "invalid_token")


def checksum(body: str) -> str:
    """The last six characters of a token: CRC32 in base62, which can be derived from a few tokens."""
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, rest = divmod(number, 62)
        digits = BASE62[rest] + digits
    return digits


def forge(lookup: str | None = None, secret: str | None = None) -> str:
    """A token with a right checksum, with this lookup id or with a random one."""
    body = f"lt_{lookup or _text(12)}_{secret or _text(30)}"
    return body + checksum(body)


def parts_of(token: str) -> tuple[str, str]:
    """The lookup id and the secret of a token."""
    _, lookup, rest = token.split("_")
    return lookup, rest[:-6]


@attack("401 invalid_token, all alike")
def guess(target: Target, trial: Trial) -> None:
    """Guess tokens whose checksum is right"""
    live, http = target.owner("a"), target.client()
    lookup, _ = parts_of(live.token)
    outlines = set()
    for number in range(300 if target.thorough else 100):
        presented = forge() if number % 2 else forge(lookup)
        answer = patiently(http, "GET", WHO_AM_I, headers=_bearer(presented))
        trial.see(f"{answer.status_code} {code_of(answer)}", holds=(answer.status_code, code_of(answer)) == REFUSED)
        outlines.add(outline(answer))
    trial.see(f"{len(outlines)} kinds of answer", holds=len(outlines) == 1)


@attack("401 invalid_token")
def mistype(target: Target, trial: Trial) -> None:
    """Change one character of a live token, or mix two tokens"""
    one, other, http = target.owner("a"), target.owner("b"), target.client()
    (lookup, secret), (other_lookup, other_secret) = parts_of(one.token), parts_of(other.token)
    tries = [
        one.token[:-1], one.token + "0", one.token.swapcase(), one.token.upper(), one.token.replace("_", "-"),
        one.token.removeprefix("lt_"), one.token + one.token, one.token + "," + one.token, one.token + "\u00e9",
        forge(lookup, other_secret), forge(other_lookup, secret), forge(lookup.swapcase(), secret),
        forge(lookup, secret.swapcase()), forge("%" * 12), forge("_" * 12), "lt_" + "0" * 48, "null", "lt_",
    ]  # fmt: skip
    for place in range(3, len(one.token), 4):
        changed = "0" if one.token[place] != "0" else "1"
        body = (one.token[:place] + changed + one.token[place + 1 :])[:-6]
        tries += [one.token[:place] + changed + one.token[place + 1 :], body + checksum(body)]
    for presented in tries:
        if presented != one.token:
            answer = http.get(WHO_AM_I, headers={b"Authorization": b"Bearer " + presented.encode("latin-1")})
            trial.see(f"{answer.status_code} {code_of(answer)}", holds=(answer.status_code, code_of(answer)) == REFUSED)


@attack("refused within a second, with the same response as an unknown one")
def revive(target: Target, trial: Trial) -> None:
    """Use revoked, expired and rotated tokens"""
    revoked, rotated = target.issue("a", ["read"]), target.issue("a", ["read"])
    expired = target.issue("a", ["read"], expires_in=1)
    for caller in (revoked, rotated):
        caller.get(WHO_AM_I)  # so that a cache would hold it as valid
    target.admin.ask("DELETE", f"/api/tokens/{revoked.token_id}")
    target.admin.post(f"/api/tokens/{rotated.token_id}/rotate", {"grace_seconds": 0})
    time.sleep(1.1)
    unknown = outline(target.client(**_bearer(forge())).get(WHO_AM_I))
    for name, caller in (("revoked", revoked), ("rotated", rotated), ("expired", expired)):
        answer = caller.get(WHO_AM_I)
        trial.see(f"{name}: {answer.status_code}", holds=outline(answer) == unknown)


@attack("401: a token is accepted in the Authorization header only")
def misplace(target: Target, trial: Trial) -> None:
    """Send a live token in queries, cookies, bodies and other headers"""
    token, http = target.owner("a").token, target.client()
    for name in ("token", "access_token", "api_key", "authorization"):
        trial.see_answer(http.get(WHO_AM_I, params={name: token}), 401, what="query")
        trial.see_answer(http.get(WHO_AM_I, headers={"Cookie": f"{name}={token}; session={token}"}), 401, what="cookie")
        trial.see_answer(http.post("/calls/otp", json={name: token, "phone": target.phone()}), 401, what="body")
    for name in ("X-Authorization", "X-Api-Key", "X-Auth-Token", "Proxy-Authorization", "X-Original-Authorization"):
        trial.see_answer(http.get(WHO_AM_I, headers={name: f"Bearer {token}"}), 401, what=name)
    schemes = ("%s", "Basic %s", "Token %s", "Bearer%s", "Bearer %s x", "x Bearer %s", "Bearer, %s")
    for value in (scheme.replace("%s", token) for scheme in schemes):
        trial.see_answer(http.get(WHO_AM_I, headers={"Authorization": value}), 401, what="scheme")
    twice = [("Authorization", f"Bearer {forge()}"), ("Authorization", f"Bearer {token}")]
    trial.see_answer(http.get(WHO_AM_I, headers=twice), 401, what="two headers")


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _text(length: int) -> str:
    return "".join(secrets.choice(BASE62) for _ in range(length))


ATTACKS: tuple[Attack, ...] = (guess, mistype, revive, misplace)
