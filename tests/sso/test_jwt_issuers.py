"""Each check of a JWT on its own."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from letstalk.core.clock import utc_now
from letstalk.sso.jwt_issuers import JwtIssuers
from letstalk.sso.models import Identity, IdentityRefused, JwtIssuerOptions, ProviderUnavailable
from tests.support.openid_provider import KEYS, Claims, FakeOpenIdProvider, sign, signed_with_public_key, unsigned
from tests.support.token_setup import Clocks

ISSUER = "https://app.example.com"
OTHER_ISSUER = "https://other.example.com"
AUDIENCE = "letstalk"
EC_KEY = ECKey.generate_key("P-256", {"kid": "ec-1"})
OKP_KEY = OKPKey.import_key(Ed25519PrivateKey.generate(), {"kid": "okp-1"})
CASE = Callable[[Claims], Claims]


def pem(key: Any) -> str:
    text: str = key.as_pem(private=False).decode()
    return text


def options(**changed: Any) -> JwtIssuerOptions:
    given: dict[str, Any] = {"algorithms": ("RS256",), "public_key": pem(KEYS[0]), **changed}
    return JwtIssuerOptions(given.pop("issuer", ISSUER), AUDIENCE, **given)


@pytest.fixture(scope="module")
def issuers() -> JwtIssuers:
    """One whose key is set here, and another with the other key."""
    return JwtIssuers([options(), options(issuer=OTHER_ISSUER, public_key=pem(KEYS[1]))], utc_now)


def claims(**changed: Any) -> Claims:
    now = int(time.time())
    given = {
        "iss": ISSUER,
        "sub": "ada-1",
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 300,
        "jti": "1",
        "email": "ada@example.com",
        "email_verified": True,
        **changed,
    }
    return {name: value for name, value in given.items() if value is not None}


def test_one_that_holds_in_every_respect_says_who_it_is(issuers: JwtIssuers) -> None:
    token = issuers.read(sign(KEYS[0], claims(preferred_username="ada", nbf=int(time.time()))))
    assert token.identity == Identity(ISSUER, "ada-1", "ada@example.com", "ada")
    assert token.token_id == "1"
    assert token.expires_at >= time.time() + 300


def test_our_audience_may_be_one_of_several(issuers: JwtIssuers) -> None:
    assert issuers.read(sign(KEYS[0], claims(aud=["another", AUDIENCE])))


def test_an_address_counts_only_where_it_is_verified(issuers: JwtIssuers) -> None:
    for verified in (False, None, "true", 1):
        token = issuers.read(sign(KEYS[0], claims(email_verified=verified)))
        assert token.identity.verified_email is None
    assert issuers.read(sign(KEYS[0], claims(email="no address"))).identity.verified_email is None


def from_now(**seconds: float) -> CASE:
    return lambda given: {**given, **{name: time.time() + after for name, after in seconds.items()}}


def changed(**values: Any) -> CASE:
    return lambda given: {name: value for name, value in {**given, **values}.items() if value is not None}


WRONG: dict[str, CASE] = {
    "unknown issuer": changed(iss="https://evil.example"),
    "no issuer": changed(iss=None),
    "issuer as list": changed(iss=[ISSUER]),
    "the key of another issuer": changed(iss=OTHER_ISSUER),
    "another audience": changed(aud="another"),
    "other audiences": changed(aud=["another", "more"]),
    "part of our audience": changed(aud=AUDIENCE[:-1]),
    "no audience": changed(aud=None),
    "audience as number": changed(aud=1),
    "expired": from_now(iat=-400, exp=-61),
    "no expiry": changed(exp=None),
    "expiry as text": changed(exp="9999999999"),
    "expiry as truth": changed(exp=True),
    "expiry in a year": from_now(exp=365 * 86_400),
    "endless": changed(exp=10**400),
    "not before later": from_now(nbf=3600),
    "not before as text": changed(nbf="soon"),
    "no time of issue": changed(iat=None),
    "issued in the future": from_now(iat=3600, exp=3700),
    "issued long ago": changed(iat=1),
    "empty id": changed(jti=""),
    "id as number": changed(jti=7),
    "long id": changed(jti="j" * 256),
    "no subject": changed(sub=None),
    "empty subject": changed(sub=""),
    "subject as number": changed(sub=1),
    "long subject": changed(sub="s" * 256),
    "subject with NUL": changed(sub="a\0"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_claim_is_refused(issuers: JwtIssuers, case: CASE) -> None:
    with pytest.raises(IdentityRefused):
        issuers.read(sign(KEYS[0], case(claims())))


def odd_numbers(text: str) -> str:
    """A token whose expiry is what JSON does not know, properly signed."""
    payload = json.dumps(claims()).replace(f'"exp": {claims()["exp"]}', f'"exp": {text}')
    return jws.serialize_compact({"alg": "RS256", "kid": KEYS[0].kid}, payload, KEYS[0])


FORGED: dict[str, Callable[[], str]] = {
    "algorithm none": lambda: unsigned(claims()),
    "HS256 with the public key": lambda: signed_with_public_key(KEYS[0], claims()),
    "another algorithm with the right key": lambda: sign(KEYS[0], claims(), "RS512"),
    "another key": lambda: sign(KEYS[1], claims(), kid=KEYS[0].kid),
    "a key that brings itself": lambda: sign(KEYS[1], claims(), jwk=KEYS[1].as_dict(private=False)),
    "no signature": lambda: sign(KEYS[0], claims()).rpartition(".")[0] + ".",
    "a changed signature": lambda: _change_last_bit(sign(KEYS[0], claims())),
    "NaN": lambda: odd_numbers("NaN"),
    "Infinity": lambda: odd_numbers("Infinity"),
    "many digits": lambda: odd_numbers("9" * 5000),
    "three words": lambda: "a.b.c",
    "empty": lambda: "",
    "dots": lambda: "..",
    "five parts": lambda: "a.b.c.d.e",
    "not ASCII": lambda: "é.é.é",
    "half a character": lambda: "\ud800.x.y",
    "a list": lambda: f"{_b64('{}')}.{_b64('[]')}.x",
    "no JSON": lambda: f"{_b64('{')}.{_b64('{')}.x",
    "deep": lambda: f"{_b64('{}')}.{_b64('[' * 5000)}.x",
    "long": lambda: sign(KEYS[0], claims(more="x" * 20_000)),
    "an algorithm that is a list": lambda: f"{_b64(json.dumps({'alg': ['RS256']}))}.{_b64(json.dumps(claims()))}.x",
}


def _b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _change_last_bit(token: str) -> str:
    head, _, signature = token.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[-1] ^= 1
    return f"{head}.{base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}"


@pytest.mark.parametrize("make", FORGED.values(), ids=FORGED.keys())
def test_what_the_issuer_has_not_signed_is_refused(issuers: JwtIssuers, make: Callable[[], str]) -> None:
    with pytest.raises(IdentityRefused):
        issuers.read(make())


# The library warns of the name EdDSA where it signs, as most issuers do.
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize(("key", "algorithm"), [(EC_KEY, "ES256"), (OKP_KEY, "EdDSA"), (OKP_KEY, "Ed25519")])
def test_other_kinds_of_keys_do_too(key: Any, algorithm: str) -> None:
    issuers = JwtIssuers([options(algorithms=(algorithm,), public_key=pem(key))], utc_now)
    assert issuers.read(sign(key, claims(), algorithm))
    with pytest.raises(IdentityRefused, match="algorithm"):
        issuers.read(sign(KEYS[0], claims()))


def test_the_clocks_may_differ_by_a_minute(issuers: JwtIssuers) -> None:
    assert issuers.read(sign(KEYS[0], from_now(iat=50, nbf=50)(claims())))
    late = from_now(iat=-300, exp=-50)(claims())
    assert issuers.read(sign(KEYS[0], late)).expires_at > time.time(), "it is remembered for as long as it counts"


def test_published_keys_are_found_and_asked_for_once_a_minute(provider: FakeOpenIdProvider, clocks: Clocks) -> None:
    published = options(public_key=None, jwks_url=f"{provider.issuer}/jwks")
    issuers = JwtIssuers([published], utc_now, clocks.monotonic)
    assert issuers.read(sign(KEYS[0], claims()))
    for _ in range(3):
        with pytest.raises(IdentityRefused, match="unknown key"):
            issuers.read(sign(KEYS[1], claims()))
    assert provider.asked["/jwks"] == 2
    provider.published = KEYS
    clocks.move(61)
    assert issuers.read(sign(KEYS[1], claims()))
    assert provider.asked["/jwks"] == 3


def test_nobody_is_asked_about_an_algorithm_that_does_not_count(provider: FakeOpenIdProvider) -> None:
    issuers = JwtIssuers([options(public_key=None, jwks_url=f"{provider.issuer}/jwks")], utc_now)
    for text in (unsigned(claims()), signed_with_public_key(KEYS[0], claims())):
        with pytest.raises(IdentityRefused):
            issuers.read(text)
    assert provider.asked.total() == 0


def test_keys_that_can_not_be_read_are_no_verdict(provider: FakeOpenIdProvider) -> None:
    provider.answers["/jwks"] = (500, b"")
    issuers = JwtIssuers([options(public_key=None, jwks_url=f"{provider.issuer}/jwks")], utc_now)
    with pytest.raises(ProviderUnavailable):
        issuers.read(sign(KEYS[0], claims()))


BAD_OPTIONS: dict[str, dict[str, Any]] = {
    "none": {"algorithms": ("none",)},
    "HS256": {"algorithms": ("HS256",)},
    "no algorithm": {"algorithms": ()},
    "one unknown": {"algorithms": ("RS256", "RS1")},
    "another kind of key": {"algorithms": ("ES256",)},
    "algorithms of two kinds": {"algorithms": ("RS256", "ES256")},
    "no PEM": {"public_key": "nothing"},
    "a private key": {"public_key": KEYS[0].as_pem(private=True).decode()},
    "both": {"jwks_url": "https://app.example.com/jwks"},
    "neither": {"public_key": None},
}


@pytest.mark.parametrize("bad", BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_an_issuer_that_can_not_be_used_is_refused_at_once(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"public_key|algorithms"):
        JwtIssuers([options(**bad)], utc_now)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="2048 bits"):
        JwtIssuers([options(public_key=pem(RSAKey.generate_key(1024)))], utc_now)


def test_an_issuer_stands_there_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        JwtIssuers([options(), options()], utc_now)
