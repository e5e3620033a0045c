"""A provider that hangs keeps few requests waiting, and no others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from letstalk.sso import provider_client
from letstalk.sso.models import ProviderUnavailable
from letstalk.sso.provider_client import PLACES, ask_provider
from tests.support.apps import ServerProcess
from tests.support.openid_provider import FakeOpenIdProvider


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """While it is not set, every place is taken."""
    may_end, started = threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        started.release()
        may_end.wait(30)

    threads = [threading.Thread(target=ask_provider, args=(hang,)) for _ in range(PLACES)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert started.acquire(timeout=10)
    yield may_end
    may_end.set()
    for thread in threads:
        thread.join()


def test_when_all_places_are_taken_a_question_is_refused_at_once(hanging: threading.Event) -> None:
    asked: list[int] = []
    with pytest.raises(ProviderUnavailable, match="too many"):
        ask_provider(lambda: asked.append(1))
    assert asked == []
    hanging.set()
    deadline = time.monotonic() + 10
    while not asked:
        assert time.monotonic() < deadline
        try:
            ask_provider(lambda: asked.append(1))
        except ProviderUnavailable:
            time.sleep(0.01)


def test_a_question_within_a_question_takes_no_second_place() -> None:
    def ask(depth: int) -> int:
        return depth if depth == 2 * PLACES else ask_provider(lambda: ask(depth + 1))

    assert ask_provider(lambda: ask(0)) == 2 * PLACES


def test_a_question_that_takes_too_long_is_given_up_and_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_client, "PATIENCE_SECONDS", 0.05)
    may_end = threading.Event()
    for _ in range(PLACES):
        with pytest.raises(ProviderUnavailable, match="too long"):
            ask_provider(lambda: may_end.wait(30))
    with pytest.raises(ProviderUnavailable, match="too many"):
        ask_provider(lambda: True)
    may_end.set()
    deadline = time.monotonic() + 10
    while True:
        assert time.monotonic() < deadline
        try:
            assert ask_provider(lambda: True)
            return
        except ProviderUnavailable:
            time.sleep(0.01)


def test_what_the_question_raises_reaches_who_asked() -> None:
    def fail() -> None:
        raise LookupError("its own")

    for _ in range(2 * PLACES):
        with pytest.raises(LookupError, match="its own"):
            ask_provider(fail)


def test_while_the_provider_hangs_the_service_answers_and_the_button_says_so(tmp_path: Path) -> None:
    with FakeOpenIdProvider() as provider:
        provider.delay_seconds = 20.0
        settings = {**provider.settings, "WEB_THREADS": "1"}
        with ServerProcess(tmp_path, **settings) as server, ThreadPoolExecutor(2 * PLACES) as pool:
            start = f"{server.base}/api/auth/sso/start"
            waiting = [pool.submit(httpx.get, start, timeout=30) for _ in range(2 * PLACES)]
            answered = 0
            while not all(one.done() for one in waiting):
                assert httpx.get(f"{server.base}/health", timeout=4).status_code == 200
                answered += not all(one.done() for one in waiting)
            assert answered >= 5, "with one thread for all other requests"
            answers = [one.result() for one in waiting]
            assert {answer.status_code for answer in answers} == {503}
            assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers)
