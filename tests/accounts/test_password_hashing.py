"""Hashing and comparing passwords, a few at a time, and the lists of common passwords."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest
from werkzeug.security import generate_password_hash

from letstalk.accounts.passwords import PLACES, PLACES_FOR_STRANGERS, RETRY_SECONDS, PasswordRules, PasswordService
from letstalk.core.errors import Unavailable, WeakPassword
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from tests.support.account_services import OTHER_PASSWORD, PASSWORD
from tests.support.quick_apps import FAST


def service(rules: PasswordRules = PasswordRules.NIST, vault: Vault | None = None, **options: Any) -> PasswordService:
    given: dict[str, Any] = {"names": ("Let's Talk", "Acme"), "scrypt": FAST, **options}
    return PasswordService(vault or Vault((make_encryption_key(),)), rules, **given)


def test_the_right_password_is_right_and_every_other_wrong() -> None:
    passwords = service()
    sealed = passwords.seal(PASSWORD)
    assert passwords.is_right(PASSWORD, sealed)
    assert not any(passwords.is_right(wrong, sealed) for wrong in ("", PASSWORD + " ", PASSWORD.upper(), "x" * 1000))


def test_one_password_is_kept_differently_each_time_and_not_in_the_clear() -> None:
    vault = Vault((make_encryption_key(),))
    passwords = service(vault=vault)
    first, second = passwords.seal(PASSWORD), passwords.seal(PASSWORD)
    opened = [vault.decrypt(sealed).decode() for sealed in (first, second)]
    assert all(text.startswith(f"{FAST}$") for text in opened)
    assert opened[0] != opened[1]
    assert PASSWORD not in "".join([first, second, *opened])


def test_the_default_cost_is_werkzeug_s_scrypt_of_32_megabytes() -> None:
    vault = Vault((make_encryption_key(),))
    sealed = PasswordService(vault, PasswordRules.NIST, names=()).seal(PASSWORD)
    assert vault.decrypt(sealed).startswith(b"scrypt:32768:8:1$")


def test_without_the_key_a_copy_of_the_database_can_check_no_guess() -> None:
    sealed = service().seal(PASSWORD)
    assert PASSWORD not in sealed
    assert not service().is_right(PASSWORD, sealed)


def test_nobody_s_password_is_never_right() -> None:
    assert not service().is_right(PASSWORD, None)


def test_two_ways_to_type_a_letter_are_one_password() -> None:
    passwords = service()
    typed, kept = "re\u0301sume\u0301 of my life", "résumé of my life"
    assert passwords.is_right(typed, passwords.seal(passwords.check_new(kept, ())))


@pytest.mark.parametrize(
    "password",
    [
        *("password1234", "qwertyuiop123", "aaaaaaaaaaaa", "123456789012", "iloveyou1234", "x" * 200),
        *("acme2026acme", "let's talk 1!"),
    ],
)
def test_what_everybody_uses_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword):
        service().check_new(password, ("ada", "ada@example.com"))


@pytest.mark.parametrize(
    "password", [PASSWORD, OTHER_PASSWORD, "a-long-enough-password", "8fj2-k0qp-zz1m", "мой старый дом"]
)
def test_an_uncommon_one_is_taken_without_any_mix(password: str) -> None:
    assert service().check_new(password, ("ada", "ada@example.com")) == password


def test_the_longest_password_takes_no_longer_than_a_blink() -> None:
    started = time.thread_time()  # not what the machine does meanwhile
    service().check_new("pA5$w0rD" * 32, ())
    assert time.thread_time() - started < 2


def test_by_the_classic_rules_none_of_the_last_five_comes_back() -> None:
    classic, nist = service(PasswordRules.CLASSIC), service()
    old = [classic.seal(f"Passw0rd!{number}") for number in range(6)]
    for number in range(5):
        with pytest.raises(WeakPassword, match="last 5"):
            classic.check_new(f"Passw0rd!{number}", (), old=old)
    assert classic.check_new("Passw0rd!5", (), old=old)
    assert nist.check_new(PASSWORD, (), old=[nist.seal(PASSWORD)])


def test_only_so_many_hashes_are_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = service(at_once=2)
    computing, most, lock = 0, 0, threading.Lock()
    real = generate_password_hash

    def slow(password: str, method: str) -> str:
        nonlocal computing, most
        with lock:
            computing += 1
            most = max(most, computing)
        time.sleep(0.02)
        hashed = real(password, method=method)
        with lock:
            computing -= 1
        return hashed

    monkeypatch.setattr("letstalk.accounts.passwords.generate_password_hash", slow)
    threads = [threading.Thread(target=passwords.seal, args=(PASSWORD,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


def test_who_finds_no_place_is_told_at_once_strangers_first() -> None:
    passwords = service()
    with ExitStack() as taken:
        for _ in range(PLACES_FOR_STRANGERS):
            taken.enter_context(passwords.place(is_known=False))
        with pytest.raises(Unavailable) as refused:
            taken.enter_context(passwords.place(is_known=False))
        assert refused.value.retry_after_seconds == RETRY_SECONDS
        for _ in range(PLACES - PLACES_FOR_STRANGERS):
            taken.enter_context(passwords.place(is_known=True))
        with pytest.raises(Unavailable):
            taken.enter_context(passwords.place(is_known=True))
    with passwords.place(is_known=False):
        pass  # each was given back
