"""Mails of a service as it runs in production: the server away and back, and a search for links in what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.flows.installations import eventually
from tests.support.account_services import OTHER_PASSWORD, PASSWORD
from tests.support.apps import ServerProcess
from tests.support.mail_parts import TOKEN
from tests.support.mail_servers import HOST, MailServer, mail_server

ADA, GRACE = "ada@example.org", "grace@example.org"
BASE = "https://calls.example.com"


def settings(server: MailServer) -> dict[str, str]:
    return {
        "SMTP_HOST": HOST,
        "SMTP_PORT": str(server.port),
        "SMTP_SECURITY": "none",
        "MAIL_FROM": "calls@example.com",
        "PUBLIC_URL": BASE,
        "REGISTRATION": "open",
        "LOG_LEVEL": "DEBUG",
    }


def link_to(server: MailServer, address: str, page: str) -> str:
    """The link to that page in a mail to `address`, once it has come."""

    def find() -> str | None:
        lines = [line for text in server.mails_to(address) for line in text.splitlines()]
        return next((line for line in lines if line.startswith(f"{BASE}{page}#token=")), None)

    return eventually(find, f"a link to {page} for {address}") or ""


def test_mails_wait_for_a_server_that_is_away_and_leave_no_link_behind(tmp_path: Path) -> None:
    links: list[str] = []
    with mail_server() as server:
        server.stop()
        with ServerProcess(tmp_path, **settings(server)) as service, httpx.Client(base_url=service.base) as http:

            def post(call: str, body: dict[str, Any], **headers: str) -> httpx.Response:
                answer = http.post(f"/api/auth/{call}", json=body, headers=headers, timeout=30)
                assert answer.status_code in (200, 201), answer.text
                return answer

            admin = {"Authorization": f"Bearer {service.issue_token('admin')}"}
            invited = post("invite", {"email": ADA, "role": "admin"}, **admin).json()
            assert invited["mailed"]
            post("register", {"username": "grace", "email": GRACE})
            # Both were tried, and wait.
            eventually(lambda: service.log().count("mail_delayed") >= 2, "both mails delayed")
            assert server.taken == []
            server.start()
            links = [link_to(server, ADA, "/accept-invitation"), link_to(server, GRACE, "/verify-email")]
            assert links[0] == invited["link"]
            ada = post("register-invitation", {"token": links[0], "username": "ada", "password": PASSWORD}).json()
            post("verify-email", {"token": links[1], "password": PASSWORD})
            post("forgot-password", {"email": ADA})
            links.append(link_to(server, ADA, "/reset-password"))
            post("reset-password", {"token": links[2], "new_password": OTHER_PASSWORD})
            refused = http.get("/api/auth/me", headers={"Authorization": f"Bearer {ada['token']}"})
            assert refused.status_code == 401
            post("login", {"username": ADA, "password": OTHER_PASSWORD})
        # After a restart nothing is mailed again.
        with service:
            eventually(lambda: httpx.get(f"{service.base}/health/ready").status_code == 200, "ready")
    assert sorted(server.recipients) == [ADA, ADA, GRACE], "each once"
    left = [service.log().encode(), *(path.read_bytes() for path in tmp_path.glob("letstalk.db*"))]
    assert len(left) >= 2
    for link in links:
        [token] = TOKEN.findall(link)
        for content in left:
            assert token.removeprefix("ltl_").encode() not in content
    for word in (PASSWORD, OTHER_PASSWORD):
        assert all(word.encode() not in content for content in left)
    assert all(address.encode() not in left[0] for address in (ADA, GRACE)), "no address in the log"


def test_a_production_server_without_mail_shows_the_link_to_the_admin_alone(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, PUBLIC_URL=BASE) as service:
        headers = {"Authorization": f"Bearer {service.issue_token('admin')}"}
        body = {"email": ADA, "role": "viewer"}
        answer = httpx.post(f"{service.base}/api/auth/invite", json=body, headers=headers, timeout=30).json()
    assert answer["mailed"] is False
    [token] = TOKEN.findall(answer["link"])
    assert token not in service.log()
