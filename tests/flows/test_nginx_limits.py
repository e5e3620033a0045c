"""The limits in `deploy/nginx.conf`, in a real nginx before the real service: for slow, many and large requests."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flows.test_behind_nginx import ask, nginx_before
from tests.support.apps import ServerProcess

ATTACKER, OTHER = "127.0.0.2", "127.9.0.1"
HEADER_SECONDS = 10
UNCHECKED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
UNCHECKED.check_hostname = False
UNCHECKED.verify_mode = ssl.CERT_NONE


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("nginx")
    with ServerProcess(folder, TRUSTED_PROXIES="1") as server, nginx_before(server, folder) as address:
        yield address


def plain(base: str, client: str = ATTACKER) -> socket.socket:
    return socket.create_connection(("127.0.0.1", httpx.URL(base).port or 0), timeout=20, source_address=(client, 0))


def encrypted(base: str, client: str = ATTACKER) -> ssl.SSLSocket:
    return UNCHECKED.wrap_socket(plain(base, client))


def is_closed(wire: socket.socket) -> bool:
    wire.settimeout(0.02)
    try:
        return wire.recv(65536) == b""
    except TimeoutError:
        return False
    except OSError:  # reset
        return True


def test_many_silent_and_dripping_connections_keep_nobody_out_and_are_ended(base: str) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(closing(plain(base))) for _ in range(830)]
        dripping = [stack.enter_context(closing(encrypted(base))) for _ in range(40)]
        for wire in dripping:
            wire.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        for _ in range(5):
            assert ask(base, OTHER, "/health").status_code == 200
        left: list[socket.socket] = [*silent, *dripping]
        deadline = time.monotonic() + 4 * HEADER_SECONDS
        while left:
            assert time.monotonic() < deadline, f"{len(left)} are kept"
            for wire in dripping:
                with suppress(OSError):
                    wire.sendall(b"a")
            left = [wire for wire in left if not is_closed(wire)]


def test_one_client_has_so_many_requests_under_way_and_others_theirs(base: str) -> None:
    with ExitStack() as stack:
        under_way = [stack.enter_context(closing(encrypted(base))) for _ in range(110)]
        for wire in under_way:
            wire.sendall(b"POST /calls/otp HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{")
        deadline = time.monotonic() + HEADER_SECONDS
        while (refused := ask(base, ATTACKER, "/health")).status_code == 200:
            assert time.monotonic() < deadline
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert int(refused.headers["Retry-After"]) == refused.json()["retry_after"]
        assert ask(base, OTHER, "/health").status_code == 200
    deadline = time.monotonic() + 20
    while ask(base, ATTACKER, "/health").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def post(base: str, content: Any) -> httpx.Response:
    with httpx.Client(base_url=base, transport=httpx.HTTPTransport(verify=False)) as http:
        return http.post("/calls/otp", content=content, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("body", ["announced", "in chunks"])
def test_a_body_of_more_than_64_kb_is_refused_in_the_shape_of_every_error(body: str, base: str) -> None:
    content: Any = b"x" * 65_537 if body == "announced" else iter([b"x" * 40_000] * 4)
    answer = post(base, content)
    assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/json")
    assert answer.json()["code"] == "too_large"
    assert set(answer.json()) == {"error", "code", "request_id"}


def test_a_body_is_refused_before_it_is_sent(base: str) -> None:
    with encrypted(base) as wire:
        wire.sendall(b"POST /calls/otp HTTP/1.1\r\nHost: x\r\nContent-Length: 16000000\r\nExpect: 100-continue\r\n\r\n")
        assert wire.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_64_kb_reaches_the_service(base: str) -> None:
    answer = post(base, b" " * 65_536)
    assert (answer.status_code, answer.json()["code"]) == (401, "missing_authorization")


def test_while_the_service_is_away_nginx_says_so_in_our_shape(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, TRUSTED_PROXIES="1") as server, nginx_before(server, tmp_path) as base:
        server.stop()
        answer = ask(base, OTHER, "/health")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert answer.headers["Retry-After"] == "5"
