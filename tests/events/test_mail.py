"""Whom a webhook endpoint belongs to is told by a mail when it was disabled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from letstalk.core.clock import utc_now
from letstalk.core.secret_files import make_encryption_key
from letstalk.events.models import AppEventType
from tests.support.account_services import someone
from tests.support.apps import OWNER, make_app, services_of
from tests.support.mail_servers import mail_server, send_due_mails, settings_for
from tests.support.receivers import Receiver, Reply

ACME = replace(OWNER, owner_id="acme")


def test_the_people_of_the_owner_are_told_once_and_nobody_else(tmp_path: Path, receiver: Receiver) -> None:
    receiver.reply = lambda _received: Reply(410)
    with mail_server() as server:
        settings = {**settings_for(server), "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
        app = make_app(tmp_path, utc_now, ENCRYPTION_KEYS=make_encryption_key(), **settings)
        services = services_of(app)
        for name, role, owners in (
            ("dora", "developer", ("acme",)),
            ("gina", "developer", ("globex",)),
            ("ada", "admin", ()),
        ):
            services.accounts.service.create_account(someone(name, role, owner_ids=owners))
        events = services.app_events
        issued = events.endpoints.create_endpoint(ACME, receiver.url)
        for _ in range(2):
            example = events.make_example(AppEventType.CALL_ENDED, "acme")
            if not events.endpoints.get_endpoint(ACME, issued.endpoint.endpoint_id).disabled_at:
                events.endpoints.send_example(ACME, issued.endpoint.endpoint_id, example)
            events.deliverer.deliver_due()
            send_due_mails(app, utc_now())
        assert server.recipients == ["dora@example.com"]
        [mail] = server.taken
        assert mail["subject"] == "A webhook endpoint of yours at Let's Talk was disabled"
        [text] = server.mails_to("dora@example.com")
    assert receiver.url in text
    assert "410" in text
    assert "enable it in the dashboard under Webhooks" in " ".join(text.split())
    assert issued.secret not in text
