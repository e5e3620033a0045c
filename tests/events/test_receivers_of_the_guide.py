"""The receivers of docs/events.md, run as they stand there, accept what is sent and refuse what was changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from letstalk.events.signatures import headers_of, new_secret
from tests.support.documents import ROOT
from tests.support.ports import free_port
from tests.support.services import needed, node_binary
from tests.support.webhook_senders import Sender

GUIDE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")


def program(language: str) -> str:
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL) if "Webhook" in text]
    return str(found)


@contextmanager
def running(command: list[str | Path], folder: Path, secret: str, port: int) -> Iterator[str]:
    """The address of the receiver."""
    environment = {**os.environ, "SECRET": secret, "PORT": str(port), "PYTHONUNBUFFERED": "1"}
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        try:
            url = f"http://127.0.0.1:{port}/hooks/calls"
            while not answers(url):
                assert process.poll() is None, (folder / "output").read_text()
            yield url
        finally:
            process.kill()
            process.wait(30)


def answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(url, timeout=10).status_code < 500
    return False


def check(sender: Sender, folder: Path, start: Callable[[str, int], list[str | Path]]) -> None:
    port = free_port()
    issued = sender.create(f"http://127.0.0.1:{port}/hooks/calls")
    with running(start(issued.secret, port), folder, issued.secret, port) as url:
        sender.record(note="told")
        sender.deliver()
        assert [attempt.response_status for attempt in sender.tries(issued)] == [204]
        body = sender.deliveries(issued)[0].body.encode()
        forged = headers_of([new_secret()], "01", int(sender.clock().timestamp()), body)
        assert httpx.post(url, content=body, headers=forged, timeout=30).status_code == 400
    assert (folder / "output").read_text().count("token.created") == 1


def test_the_receiver_in_python(sender: Sender, tmp_path: Path) -> None:
    folder = tmp_path / "receiver"
    folder.mkdir()
    (folder / "receiver.py").write_text(program("python"), encoding="utf-8")
    check(
        sender,
        folder,
        lambda _secret, port: [sys.executable, "-m", "flask", "--app", "receiver", "run", "--port", str(port)],
    )


def test_the_receiver_in_javascript(sender: Sender, tmp_path: Path, webhook_modules: Path) -> None:
    folder = tmp_path / "receiver"
    folder.mkdir()
    (folder / "receiver.mjs").write_text(program("javascript"), encoding="utf-8")
    (folder / "node_modules").symlink_to(webhook_modules)
    node = str(needed("Node", node_binary()))
    check(sender, folder, lambda _secret, _port: [node, "receiver.mjs"])
