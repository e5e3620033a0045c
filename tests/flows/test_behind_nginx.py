"""The site in `deploy/nginx.conf`, run by a real nginx: the service knows each client, and believes none of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.apps import ROOT, ServerProcess
from tests.support.fixtures.processes import running
from tests.support.mail_servers import make_certificate
from tests.support.ports import free_port
from tests.support.services import needed

FRAME = """daemon off; master_process off; pid nginx.pid; error_log stderr;
worker_rlimit_nofile 16384; events {{ worker_connections 8192; }}
http {{
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
{site}
}}
"""


def site(folder: Path, port: int, upstream_port: int) -> str:
    """The shipped file, with only its ports and paths changed."""
    text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    text = re.sub(r"/etc/letsencrypt/\S+\.pem", str(make_certificate(folder)), text)
    text = re.sub(r"listen \[::\]:\d+[^;]*;", "", text)
    for old, new in (
        ("listen 80;", f"listen 127.0.0.1:{free_port()};"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("127.0.0.1:5000", f"127.0.0.1:{upstream_port}"),
        ("/var/log/nginx/letstalk.log", "access.log"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


@contextmanager
def nginx_before(server: ServerProcess, folder: Path) -> Iterator[str]:
    """The address of a running nginx."""
    found = shutil.which("nginx")
    binary = needed("nginx", None if found is None else Path(found))
    port = free_port()
    (folder / "nginx.conf").write_text(FRAME.format(site=site(folder, port, server.port)))
    base = f"https://127.0.0.1:{port}"

    def is_ready(_: subprocess.Popen[bytes]) -> bool:
        try:
            return ask(base, "127.0.0.1", "/health").status_code == 200
        except httpx.TransportError:
            return False

    with running([binary, "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"], folder, is_ready):
        yield base


def ask(base: str, client: str, path: str = "/openapi.json", **headers: str) -> httpx.Response:
    """What the client at that address of this machine gets."""
    transport = httpx.HTTPTransport(local_address=client, verify=False)
    with httpx.Client(base_url=base, transport=transport, timeout=30) as http:
        return http.get(path, headers=headers)


@pytest.mark.parametrize(("proxies", "knows_each"), [("1", True), ("127.0.0.1", True), ("2", False)])
def test_the_shipped_site_tells_clients_apart_with_the_settings_of_the_manual(
    proxies: str, knows_each: bool, tmp_path: Path
) -> None:
    settings = {"TRUSTED_PROXIES": proxies, "RATE_LIMIT_ADDRESS": "3 per hour"}
    with ServerProcess(tmp_path, **settings) as server, nginx_before(server, tmp_path) as base:
        lies = ({"X-Forwarded-For": f"198.51.100.{number}", "X-Real-IP": "198.51.100.1"} for number in range(4))
        first = [ask(base, "127.0.0.2", **lie) for lie in lies]
        assert [answer.status_code for answer in first] == [200, 200, 200, 429]
        assert ask(base, "127.0.0.3").status_code == (200 if knows_each else 429)
        assert ask(base, "127.0.0.4", "/metrics").status_code == 404
        if knows_each:
            assert "Secure" in ask(base, "127.0.0.5", "/sign-in").headers["Set-Cookie"]
        reports = [line for line in server.log().splitlines() if "forwarded_address_ignored" in line]
    assert len(reports) == (0 if knows_each else 1), "a number that is too high is reported once"
