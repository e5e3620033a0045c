"""Access tokens: their claims, their verification, and key rotation."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey, RSAKey
from sqlalchemy import select

from letstalk.accounts.access_tokens import REREAD_SECONDS, signing_keys
from letstalk.accounts.account_sessions import SignedIn
from letstalk.accounts.models import AccountChanges, Role
from letstalk.accounts.services import Accounts
from letstalk.core.errors import InvalidToken
from letstalk.core.scopes import ALL_SCOPES
from letstalk.db.database import Database
from tests.support.account_services import ADDRESS, DEVICE, PASSWORD, accounts_of, someone
from tests.support.apps import OWNER
from tests.support.world import World, at_once


def signed_in(accounts: Accounts, username: str = "ada", role: str = "developer") -> SignedIn:
    accounts.service.create_account(someone(username, role))
    return accounts.sign_ins.sign_in(username, PASSWORD, DEVICE)


def part(token: str, number: int) -> dict[str, Any]:
    text = token.split(".")[number]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def encoded(part_: dict[str, Any] | bytes) -> str:
    raw = part_ if isinstance(part_, bytes) else json.dumps(part_).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def private_key(world: World, kid: str) -> Ed25519PrivateKey:
    with world.db.read() as connection:
        query = select(signing_keys.c.private_key_encrypted).where(signing_keys.c.kid == kid)
        return Ed25519PrivateKey.from_private_bytes(world.vault.decrypt(connection.execute(query).scalar_one()))


def is_refused(accounts: Accounts, token: str) -> bool:
    try:
        accounts.access_tokens.authenticate(token, ADDRESS)
    except InvalidToken:
        return True
    return False


def test_a_token_says_what_it_should_and_nothing_about_the_person(world: World) -> None:
    accounts = accounts_of(world)
    who = signed_in(accounts)
    header, claims = part(who.access_token, 0), part(who.access_token, 1)
    assert (header["alg"], header["typ"]) == ("Ed25519", "at+jwt")
    assert set(claims) == {"iss", "aud", "sub", "sid", "iat", "exp", "jti", "role", "epoch"}
    assert claims["sub"] == who.account.account_id
    assert all(str(uuid.UUID(claims[name])) == claims[name] for name in ("sub", "sid", "jti"))
    assert claims["exp"] - claims["iat"] == 900
    assert claims["iat"] == int(world.clock().timestamp())
    assert claims["role"] == "developer"
    assert "example.com" not in json.dumps(claims)


def test_role_and_grants_are_those_of_now_not_those_of_the_token(world: World) -> None:
    accounts = accounts_of(world)
    who = signed_in(accounts)
    accounts.service.update_account(OWNER, who.account.account_id, AccountChanges(owner_ids=("globex", "initech")))
    actor = accounts.access_tokens.authenticate(who.access_token, ADDRESS)
    assert actor.owner_ids == {"globex", "initech"}
    assert not actor.reaches("acme")
    accounts.service.update_account(OWNER, who.account.account_id, AccountChanges(role="admin"))
    assert is_refused(accounts, who.access_token)
    renewed = accounts.sessions.refresh(who.refresh_token, DEVICE)
    assert accounts.access_tokens.authenticate(renewed.access_token, ADDRESS).scopes == ALL_SCOPES
    assert renewed.account.role is Role.ADMIN
    # And back again: what was refused once stays so.
    accounts.service.update_account(OWNER, who.account.account_id, AccountChanges(role="developer"))
    assert is_refused(accounts, who.access_token)
    assert is_refused(accounts, renewed.access_token)


def test_a_token_that_we_did_not_sign_as_it_stands_is_refused(world: World) -> None:
    accounts = accounts_of(world)
    token = signed_in(accounts).access_token
    header, claims = part(token, 0), part(token, 1)
    key = private_key(world, header["kid"])
    signature = token.split(".")[2]
    stranger = OKPKey.import_key(Ed25519PrivateKey.generate())
    public = key.public_key().public_bytes_raw()
    rsa = RSAKey.generate_key(2048)

    def hs256(secret: bytes) -> str:
        return jwt.encode({**header, "alg": "HS256"}, claims, OctKey.import_key(secret), algorithms=["HS256"])

    def by(signer: OKPKey, **changes: Any) -> str:
        return jwt.encode({**header, **changes}, claims, signer, algorithms=["Ed25519"])

    ours = OKPKey.import_key(key)
    assert not is_refused(accounts, by(ours))
    forged = {
        "alg none": f"{encoded({**header, 'alg': 'none'})}.{encoded(claims)}.",
        "alg None": f"{encoded({**header, 'alg': 'None'})}.{encoded(claims)}.{signature}",
        "no alg": f"{encoded({'kid': header['kid']})}.{encoded(claims)}.{signature}",
        "HS256 with the public key": hs256(public),
        "HS256 with the public key in base64": hs256(base64.urlsafe_b64encode(public)),
        "RS256": jwt.encode({**header, "alg": "RS256"}, claims, rsa, algorithms=["RS256"]),
        "the older name of the algorithm": f"{encoded({**header, 'alg': 'EdDSA'})}.{encoded(claims)}.{signature}",
        "another's key": by(stranger),
        "another's key, brought along": by(stranger, jwk=stranger.as_dict(private=False)),
        "no kid": by(ours, kid=str(uuid.uuid4())),
        "a kid that is a path": by(ours, kid="../../dev/null"),
        "a kid with SQL": by(ours, kid="' OR 1=1 --"),
        "another type": by(ours, typ="JWT"),
        "another claim": f"{token.split('.')[0]}.{encoded({**claims, 'role': 'admin'})}.{signature}",
        "no signature": ".".join([*token.split(".")[:2], ""]),
        "a shortened signature": token[:-4],
        "something behind": token + "A",
        "crit": f"{encoded({**header, 'crit': ['b64']})}.{encoded(claims)}.{signature}",
    }
    assert [name for name, text in forged.items() if not is_refused(accounts, text)] == []


def test_a_rightly_signed_token_with_wrong_claims_is_refused(world: World) -> None:
    accounts = accounts_of(world)
    who, other = signed_in(accounts), signed_in(accounts, "eve")
    header, claims = part(who.access_token, 0), part(who.access_token, 1)
    ours = OKPKey.import_key(private_key(world, header["kid"]))

    def with_claims(**changes: Any) -> str:
        changed = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        return jwt.encode(header, changed, ours, algorithms=["Ed25519"])

    assert not is_refused(accounts, with_claims())
    now = claims["iat"]
    wrong: list[dict[str, Any]] = [
        *({name: None} for name in claims),
        *({"exp": value} for value in (now, now - 1, 0, -1, "9999999999", True, [now + 60], 1e400)),
        *({"iss": value} for value in ("other", "", ["letstalk"])),
        *({"aud": value} for value in ("other", ["letstalk-api", "other"])),
        *({"sub": value} for value in (other.account.account_id, "", 7)),
        *({"sid": value} for value in (other.session_id, str(uuid.uuid4()), "x\0", 7, ["a"])),
        *({"epoch": value} for value in (1, -1, "0")),
    ]
    assert [changes for changes in wrong if not is_refused(accounts, with_claims(**changes))] == []


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "a.b.c", "e30.e30.e30", "é.é.é", "\0.\0.\0", "a.b.c.d", "x" * 5000 + ".a.b", "lt_x.y.z"),
        *(f"{encoded(b'[]')}.{encoded(b'{}')}.", f"{encoded(b'{' * 3000)}.a.b", f"{encoded(b'null')}.e30.AA"),
    ],
)
def test_what_is_no_token_at_all_is_refused_alike(world: World, text: str) -> None:
    assert is_refused(accounts_of(world), text)


def test_a_new_key_signs_and_the_one_before_verifies_until_its_last_token_has_expired(world: World) -> None:
    serving, elsewhere = accounts_of(world), accounts_of(world)
    old = signed_in(serving)
    assert not is_refused(elsewhere, old.access_token)
    kid = serving.access_tokens.rotate_keys()
    new = serving.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    assert part(new.access_token, 0)["kid"] == kid != part(old.access_token, 0)["kid"]
    # The other server has never heard of the new key.
    assert not is_refused(elsewhere, new.access_token)
    assert not is_refused(serving, old.access_token)
    world.clock.move(899)
    assert not is_refused(serving, old.access_token)
    world.clock.move(1)
    assert is_refused(serving, old.access_token)


def test_a_retired_key_is_not_believed_for_ever(world: World) -> None:
    accounts = accounts_of(world)
    who = signed_in(accounts)
    header, claims = part(who.access_token, 0), part(who.access_token, 1)
    ours = OKPKey.import_key(private_key(world, header["kid"]))
    accounts.access_tokens.rotate_keys()
    world.clock.move(900 + 301)
    fresh = {**claims, "iat": int(world.clock().timestamp()), "exp": int(world.clock().timestamp()) + 60}
    stolen = jwt.encode(header, fresh, ours, algorithms=["Ed25519"])
    assert is_refused(accounts_of(world), stolen)


def test_other_servers_sign_with_a_new_key_soon(world: World) -> None:
    seconds = [0.0]
    accounts = accounts_of(world)
    elsewhere = accounts_of(world)
    elsewhere.access_tokens._monotonic = lambda: seconds[0]
    first = signed_in(elsewhere)
    kid = accounts.access_tokens.rotate_keys()
    before = elsewhere.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    assert part(before.access_token, 0)["kid"] == part(first.access_token, 0)["kid"]
    seconds[0] += REREAD_SECONDS
    after = elsewhere.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    assert part(after.access_token, 0)["kid"] == kid
    assert not is_refused(accounts, before.access_token)


def test_servers_that_need_a_first_key_at_once_make_one(db: Database) -> None:
    world = World(db)
    instances = [accounts_of(world) for _ in range(6)]
    account = instances[0].service.create_account(someone())
    outcomes = at_once([lambda one=one: one.access_tokens.sign(account, str(uuid.uuid4()), 0) for one in instances])  # type: ignore[misc]
    assert outcomes == ["ok"] * 6
    with db.read() as connection:
        assert len(connection.execute(select(signing_keys)).all()) == 1


def test_the_key_does_not_stand_in_the_database_in_the_clear(world: World) -> None:
    token = signed_in(accounts_of(world)).access_token
    raw = private_key(world, part(token, 0)["kid"]).private_bytes_raw()
    with world.db.read() as connection:
        stored = repr(connection.execute(select(signing_keys)).all())
    assert repr(raw)[2:-1] not in stored
    assert base64.b64encode(raw).decode() not in stored
