"""Requests to a provider: what they contain, how often they are made, and a provider that is down, slow or changed."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from letstalk.core.clock import utc_now
from letstalk.sso import provider_client
from letstalk.sso.models import Identity, IdentityRefused, OpenIdOptions, ProviderUnavailable
from letstalk.sso.openid import OpenIdProvider
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, KEYS, FakeOpenIdProvider
from tests.support.token_setup import Clocks

DISCOVERY = "/.well-known/openid-configuration"
SECRETS = {"state": "s" * 43, "nonce": "n" * 43, "verifier": "v" * 43}


def options_of(provider: FakeOpenIdProvider) -> OpenIdOptions:
    return OpenIdOptions(
        provider.issuer, CLIENT_ID, CLIENT_SECRET, "openid email", "https://calls.example.com/callback"
    )


@pytest.fixture
def client(provider: FakeOpenIdProvider, clocks: Clocks) -> OpenIdProvider:
    return OpenIdProvider(options_of(provider), utc_now, clocks.monotonic)


def sign_in(client: OpenIdProvider, provider: FakeOpenIdProvider) -> Identity:
    code = provider.sign_in(client.authorization_url(**SECRETS))["code"]
    return client.identify(code, nonce=SECRETS["nonce"], verifier=SECRETS["verifier"])


def test_it_says_who_signed_in(client: OpenIdProvider, provider: FakeOpenIdProvider) -> None:
    assert sign_in(client, provider) == Identity(provider.issuer, "ada-1", "ada@example.com", "ada")


def test_what_the_provider_publishes_is_asked_for_once_an_hour(
    client: OpenIdProvider, provider: FakeOpenIdProvider, clocks: Clocks
) -> None:
    for _ in range(3):
        sign_in(client, provider)
    assert (provider.asked[DISCOVERY], provider.asked["/jwks"]) == (1, 1)
    clocks.move(3601)
    sign_in(client, provider)
    assert (provider.asked[DISCOVERY], provider.asked["/jwks"]) == (2, 2)


def test_a_new_key_is_found_when_a_token_names_it(client: OpenIdProvider, provider: FakeOpenIdProvider) -> None:
    sign_in(client, provider)
    provider.key, provider.published = KEYS[1], [KEYS[0], KEYS[1]]
    sign_in(client, provider)  # within the same minute as the first reading
    assert provider.asked["/jwks"] == 2


def test_unknown_keys_are_asked_for_once_a_minute(
    client: OpenIdProvider, provider: FakeOpenIdProvider, clocks: Clocks
) -> None:
    sign_in(client, provider)
    provider.key = KEYS[1]
    for _ in range(3):
        with pytest.raises(IdentityRefused):
            sign_in(client, provider)
    assert provider.asked["/jwks"] == 2
    clocks.move(61)
    provider.published = KEYS
    sign_in(client, provider)
    assert provider.asked["/jwks"] == 3


def test_a_key_that_is_withdrawn_counts_no_more_after_an_hour(
    client: OpenIdProvider, provider: FakeOpenIdProvider, clocks: Clocks
) -> None:
    sign_in(client, provider)
    provider.published = [KEYS[1]]
    clocks.move(3601)
    with pytest.raises(IdentityRefused):
        sign_in(client, provider)


def test_what_was_read_holds_for_a_day_without_the_provider(
    client: OpenIdProvider, provider: FakeOpenIdProvider, clocks: Clocks
) -> None:
    sign_in(client, provider)
    provider.answers = {DISCOVERY: (500, b""), "/jwks": (500, b"")}
    clocks.move(23 * 3600)
    sign_in(client, provider)
    clocks.move(2 * 3600)
    with pytest.raises(ProviderUnavailable):
        sign_in(client, provider)


def test_a_provider_that_is_away_is_asked_again_after_a_pause(
    client: OpenIdProvider, provider: FakeOpenIdProvider, clocks: Clocks
) -> None:
    provider.answers[DISCOVERY] = (503, b"")
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            client.authorization_url(**SECRETS)
    assert provider.asked[DISCOVERY] == 1
    provider.answers.clear()
    clocks.move(6)
    assert client.authorization_url(**SECRETS)


@pytest.mark.parametrize(
    "answer",
    [(200, b"[]"), (200, b"<html>"), (200, b'{"keys": '), (302, b""), (404, b"{}"), (200, b"[" * 100_000)],
    ids=["list", "page", "half", "redirect", "missing", "deep"],
)
def test_nonsense_is_no_answer_and_nobody_is_followed_elsewhere(
    client: OpenIdProvider, provider: FakeOpenIdProvider, answer: tuple[int, bytes]
) -> None:
    provider.answers[DISCOVERY] = answer
    with pytest.raises(ProviderUnavailable):
        client.authorization_url(**SECRETS)
    assert provider.asked["/elsewhere"] == 0


def test_an_answer_that_is_too_big_is_not_read(client: OpenIdProvider, provider: FakeOpenIdProvider) -> None:
    provider.answers[DISCOVERY] = (200, json.dumps({"issuer": provider.issuer, "more": "x" * 2**21}).encode())
    with pytest.raises(ProviderUnavailable):
        client.authorization_url(**SECRETS)


def test_a_provider_that_hangs_is_given_up(
    client: OpenIdProvider, provider: FakeOpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_client, "STEP_SECONDS", 0.1)
    provider.delay_seconds = 20.0
    with pytest.raises(ProviderUnavailable, match="Timeout"):
        client.authorization_url(**SECRETS)


def test_many_who_wait_for_one_that_hangs_wait_once(
    client: OpenIdProvider, provider: FakeOpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_client, "STEP_SECONDS", 0.2)
    provider.delay_seconds = 20.0
    refused: list[ProviderUnavailable] = []

    def come() -> None:
        with pytest.raises(ProviderUnavailable) as caught:
            client.authorization_url(**SECRETS)
        refused.append(caught.value)

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), provider.asked[DISCOVERY]) == (8, 1)


def test_a_provider_that_is_not_there_is_unavailable(provider: FakeOpenIdProvider) -> None:
    with FakeOpenIdProvider() as gone:
        options = options_of(gone)
    with pytest.raises(ProviderUnavailable):
        OpenIdProvider(options, utc_now).authorization_url(**SECRETS)
    assert provider.asked.total() == 0


def test_a_provider_that_names_itself_otherwise_is_another_one(
    client: OpenIdProvider, provider: FakeOpenIdProvider
) -> None:
    provider.metadata = {"issuer": "https://evil.example"}
    with pytest.raises(ProviderUnavailable, match="issuer"):
        client.authorization_url(**SECRETS)


def test_the_last_slash_of_an_issuer_counts(provider: FakeOpenIdProvider) -> None:
    options = replace(options_of(provider), issuer=f"{provider.issuer}/")
    with pytest.raises(ProviderUnavailable, match="issuer"):
        OpenIdProvider(options, utc_now).authorization_url(**SECRETS)
    provider.metadata = {"issuer": f"{provider.issuer}/"}
    assert OpenIdProvider(options, utc_now).authorization_url(**SECRETS)


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize("url", ["http://evil.example/x", "ftp://evil.example", "https://user:pass@evil.example", None])
def test_addresses_in_the_clear_are_not_used(
    client: OpenIdProvider, provider: FakeOpenIdProvider, name: str, url: str | None
) -> None:
    provider.metadata = {name: url}
    with pytest.raises(ProviderUnavailable, match="https"):
        client.authorization_url(**SECRETS)


def test_an_address_in_the_clear_is_not_asked_for_more(client: OpenIdProvider, provider: FakeOpenIdProvider) -> None:
    provider.sends_email_later = True
    provider.metadata = {"userinfo_endpoint": "http://evil.example/userinfo"}
    with pytest.raises(ProviderUnavailable, match="https"):
        sign_in(client, provider)


@pytest.mark.parametrize(
    "answer",
    [(500, b""), (200, b"[]"), (200, b"<html>"), (200, b'{"access_token": "a", "expires_in": [1]}'), (302, b"")],
    ids=["500", "list", "page", "odd", "redirect"],
)
def test_nonsense_for_a_code_is_no_answer(
    client: OpenIdProvider, provider: FakeOpenIdProvider, answer: tuple[int, bytes]
) -> None:
    provider.answers["/token"] = answer
    with pytest.raises(ProviderUnavailable):
        sign_in(client, provider)


def test_a_wrong_secret_is_a_refusal(provider: FakeOpenIdProvider) -> None:
    client = OpenIdProvider(replace(options_of(provider), client_secret="wrong"), utc_now)
    with pytest.raises(IdentityRefused, match="invalid_client"):
        sign_in(client, provider)


def test_keys_that_can_not_be_used_are_passed_over(client: OpenIdProvider, provider: FakeOpenIdProvider) -> None:
    for_encryption = {**KEYS[1].as_dict(private=False), "use": "enc", "kid": KEYS[0].kid}
    provider.published = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": KEYS[0].kid},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": KEYS[0].kid},
        {"kty": "EC", "crv": "P-1", "x": "AA", "y": "AA", "kid": KEYS[0].kid},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": KEYS[0].kid},
        for_encryption,
        KEYS[0],
    ]
    assert sign_in(client, provider).subject == "ada-1"


FIRST, SECOND = (key.as_dict(private=False) for key in KEYS)
NAMELESS = [{name: value for name, value in key.items() if name != "kid"} for key in (FIRST, SECOND)]


@pytest.mark.parametrize(
    "published",
    [
        [FIRST, {**SECOND, "kid": KEYS[0].kid}],
        [{**SECOND, "kid": KEYS[0].kid}, FIRST],
        [SECOND, NAMELESS[0]],
        list(reversed(NAMELESS)),
        [FIRST, FIRST, SECOND],
    ],
    ids=["same name, first", "same name, second", "one nameless", "all nameless", "the same key twice"],
)
@pytest.mark.parametrize("names_key", [True, False])
def test_each_key_that_fits_is_tried_whatever_its_name(
    client: OpenIdProvider, provider: FakeOpenIdProvider, published: list[dict[str, Any]], names_key: bool
) -> None:
    provider.published = published
    if not names_key:
        provider.forge = lambda claims: jwt.encode({"alg": "RS256"}, claims, KEYS[0])
    assert sign_in(client, provider).subject == "ada-1"
    assert provider.asked["/jwks"] == 1


def test_a_token_that_no_key_has_signed_is_refused_however_they_are_named(
    client: OpenIdProvider, provider: FakeOpenIdProvider
) -> None:
    stranger = RSAKey.generate_key(2048)
    provider.published = [NAMELESS[0], {**SECOND, "kid": KEYS[0].kid}, {**FIRST, "alg": "RS512"}]
    for header in ({}, {"kid": KEYS[0].kid}, {"kid": "another"}):
        provider.forge = lambda claims, header=header: jwt.encode({"alg": "RS256", **header}, claims, stranger)
        with pytest.raises(IdentityRefused, match="bad_signature"):
            sign_in(client, provider)


def test_a_key_of_another_name_does_not_count(client: OpenIdProvider, provider: FakeOpenIdProvider) -> None:
    provider.published = [{**FIRST, "kid": "retired"}]
    with pytest.raises(IdentityRefused, match="unknown key"):
        sign_in(client, provider)


def test_a_nameless_key_is_replaced_by_another(client: OpenIdProvider, provider: FakeOpenIdProvider) -> None:
    provider.published = [NAMELESS[0]]
    sign_in(client, provider)
    provider.key, provider.published = KEYS[1], [NAMELESS[1]]
    sign_in(client, provider)
    assert provider.asked["/jwks"] == 2


def test_many_at_once_ask_once(client: OpenIdProvider, provider: FakeOpenIdProvider) -> None:
    provider.delay_seconds = 0.1
    urls: list[str] = []
    threads = [threading.Thread(target=lambda: urls.append(client.authorization_url(**SECRETS))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(urls) == 8
    assert provider.asked[DISCOVERY] == 1
