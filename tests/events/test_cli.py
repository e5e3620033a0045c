"""`flask webhooks` and `flask events`, and forwarding to an app that is being developed."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import standardwebhooks

from letstalk.core.secret_files import make_encryption_key
from letstalk.events import cli
from letstalk.tokens.models import NewToken
from tests.support.apps import OWNER, make_app, services_of
from tests.support.receivers import Receiver


def test_an_endpoint_is_made_listed_and_deleted(tmp_path: Path) -> None:
    app = make_app(tmp_path, ENCRYPTION_KEYS=make_encryption_key())
    flask = app.test_cli_runner().invoke
    made = flask(args=["webhooks", "create", "http://127.0.0.1:9/", "--user-id", "acme", "--types", "call.ended"])
    assert made.exit_code == 0, made.output
    (endpoint,) = services_of(app).app_events.endpoints.list_reached(None)
    assert made.stdout.strip().startswith("whsec_")
    listed = flask(args=["webhooks", "list"]).output
    assert endpoint.endpoint_id in listed
    assert "whsec_" not in listed
    assert "disabled" not in listed
    flask(args=["webhooks", "disable", endpoint.endpoint_id])
    assert "disabled" in flask(args=["webhooks", "list"]).output
    assert flask(args=["webhooks", "rotate", endpoint.endpoint_id]).stdout != made.stdout
    assert flask(args=["webhooks", "delete", endpoint.endpoint_id]).exit_code == 0
    refused = flask(args=["webhooks", "create", "http://10.0.0.1/"])
    assert refused.exit_code == 1
    assert "not an address of the public internet" in refused.output


def test_new_events_are_printed_and_forwarded_signed(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(tmp_path, ENCRYPTION_KEYS=make_encryption_key())
    tokens = services_of(app).tokens
    tokens.create_token(OWNER, NewToken(owner_id="before"))
    looks = []

    def act_or_end(_seconds: float) -> None:
        looks.append(1)
        if len(looks) > 1:
            raise KeyboardInterrupt
        tokens.create_token(OWNER, NewToken(owner_id="acme"))

    monkeypatch.setattr(cli, "time", SimpleNamespace(sleep=act_or_end, time=time.time))
    done = app.test_cli_runner().invoke(
        args=["events", "listen", "--forward", receiver.url, "--types", "token.created"]
    )
    (received,) = receiver.received
    secret = next(line for line in done.stderr.splitlines() if line.startswith("whsec_"))
    assert standardwebhooks.Webhook(secret).verify(received.body, received.headers)["user_id"] == "acme"
    (line,) = done.stdout.splitlines()[:1]
    assert "token.created" in line
    assert line.endswith("204")
    assert "before" not in done.stdout
    assert "acme" in app.test_cli_runner().invoke(args=["events", "list"]).output
