"""False headers about the client, the host, and the page that sent the request."""

from __future__ import annotations

import httpx

from tools.attacks.targets import Target, patiently
from tools.attacks.trials import Attack, Trial, attack

EVIL = "evil.example"
FORWARDED = {
    "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost", "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "80", "X-Forwarded-Prefix": "/", "X-Forwarded-Server": "x",
    "Forwarded": "for=127.0.0.1;host=localhost", "X-Real-IP": "127.0.0.1", "Via": "1.1 x", "CF-Ray": "8f2-FRA",
    "CF-Connecting-IP": "127.0.0.1", "True-Client-IP": "127.0.0.1", "X-Client-IP": "127.0.0.1", "Cdn-Loop": "x",
    "Fly-Client-IP": "127.0.0.1", "X-Amzn-Trace-Id": "Root=1-2-3", "X-Cloud-Trace-Context": "1/2;o=1",
    "Tailscale-User-Login": "x", "Ngrok-Skip-Browser-Warning": "1", "X-Original-Host": "localhost",
    "X-Request-Id": "1", "X-Envoy-External-Address": "127.0.0.1", "Proxy-Connection": "close", "Max-Forwards": "9",
}  # fmt: skip
HOSTS = (
    EVIL, f"localhost.{EVIL}", f"127.0.0.1.{EVIL}", f"127.0.0.1@{EVIL}", f"{EVIL}@127.0.0.1", f"localhost:80@{EVIL}",
    f"[::1].{EVIL}", f"127.0.0.1#{EVIL}", f"127.0.0.1/.{EVIL}", "[::1", "[v1.x]", "]", "%00", "localhost.",
    "2130706433", "0x7f.1", "[::0]", "[::]", "[::ffff:1.2.3.4]", "", "a b", "a..b", "x" * 300, "localhost:99999",
    "localhost,evil.example",
)  # fmt: skip
FOREIGN_PAGES: tuple[dict[str, str], ...] = (
    {"Origin": f"http://{EVIL}"}, {"Origin": "null"}, {"Origin": "http://localhost:1"}, {"Origin": "file://"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": ""},
)  # fmt: skip
FORM_TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "",
    "text/json",
    "*/*",
)


@attack("401 without credentials, except for a direct request on the same machine in development")
def manage_tokens(target: Target, trial: Trial) -> None:
    """Manage tokens without credentials, as a tunnel, a web page or DNS rebinding would"""
    http = target.client()
    headers: list[dict[str, str]] = [{name: value} for name, value in FORWARDED.items()]
    headers += [{"x-forwarded-anything": "1"}, *({"Host": host} for host in HOSTS), *FOREIGN_PAGES]
    for lie in headers:
        for method in ("GET", "POST"):
            answer = _asked(http, method, "/api/tokens", lie)
            trial.see_answer(answer, 400, 401, 403, what=f"{method} {next(iter(lie.items()))}")
    own = f"{target.host}:{target.port}"
    for request in (
        "POST /api/tokens HTTP/1.1\r\n",
        "POST /api/tokens HTTP/1.0\r\n",
        f"POST /api/tokens HTTP/1.0\r\nHost: {own}\r\n",
        f"POST /api/tokens HTTP/1.1\r\nHost: {own}\r\nHost: {own}\r\n",
        f"POST /api/tokens HTTP/1.1\r\nHost: {own}\r\nHost: {EVIL}\r\n",
        f"POST http://{own}/api/tokens HTTP/1.1\r\nHost: {EVIL}\r\n",
        f"POST http://{own}/api/tokens HTTP/1.1\r\nHost: {own}\r\n",
    ):
        status = target.exchange(f"{request}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())[9:12].decode()
        trial.see(f"{status} for {request[:40]!r}", holds=status in ("400", "401"))
    for form_type in FORM_TYPES:
        for content in (b'{"scopes": ["admin"]}', b'{"scopes": ["admin"], "name": "=x"}'):
            lie = {"Content-Type": form_type} if form_type else {}
            answer = patiently(http, "POST", "/api/tokens", content=content, headers=lie)
            trial.see_answer(answer, 401, what=f"a body of {form_type or 'no type'}")


@attack("no Access-Control header, ever")
def ask_across(target: Target, trial: Trial) -> None:
    """Send requests and preflights from another origin"""
    http, token = target.client(), target.owner("a").token
    for path in ("/api/tokens", "/api/tokens/current", "/calls", "/calls/otp", "/api/tokens/dashboard"):
        for method in ("OPTIONS", "GET", "POST"):
            preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
            headers = {"Origin": f"http://{EVIL}", "Authorization": f"Bearer {token}", **preflight}
            answer = patiently(http, method, path, headers=headers)
            opened = [name for name in answer.headers if name.startswith("access-control")]
            trial.see(", ".join(opened) or "none", holds=not opened)


@attack("401 for requests through a proxy or with another host name")
def read_metrics(target: Target, trial: Trial) -> None:
    """Read /metrics without a token, from outside through a proxy on the same machine"""
    http = target.client()
    lies = [{name: value} for name, value in FORWARDED.items()] + [{"Host": host} for host in HOSTS[:6]]
    for lie in lies:
        for path in ("/metrics", "//metrics"):
            trial.see_answer(_asked(http, "GET", path, lie), 400, 401, 404, what=f"{next(iter(lie.items()))}")
    for token in (target.owner("a").token, "lt_x"):
        trial.see_answer(http.get("/metrics", headers={"Authorization": f"Bearer {token}"}), 401, 403, what="no admin:")


@attack("no 5xx, and no response contains the header")
def lie_about_host(target: Target, trial: Trial) -> None:
    """Request every page with a false Host"""
    http, marks = target.client(), (EVIL, "evil", "2130706433", "x" * 300)
    for host in HOSTS:
        for path in ("/", "/sign-in", "/docs", "/openapi.json", "/api/tokens/dashboard", "/nothing", "/calls"):
            for lie in ({"Host": host}, {"X-Forwarded-Host": host}, {"X-Original-URL": f"http://{host}/metrics"}):
                try:
                    answer = _asked(http, "GET", path, lie)
                except httpx.RemoteProtocolError:
                    trial.see("the connection closed", holds=True)
                    continue
                shown = any(mark in answer.text + answer.headers.get("Location", "") for mark in marks)
                trial.see(
                    f"{answer.status_code}{' echoes it' if shown else ''}", holds=answer.status_code < 500 and not shown
                )


@attack("no redirect to another host")
def wander(target: Target, trial: Trial) -> None:
    """Get redirected by an unusual path"""
    paths = (
        f"//{EVIL}", f"//{EVIL}//calls", f"///{EVIL}/..", f"/%2f%2f{EVIL}", f"/\\{EVIL}", f"/.//{EVIL}",
        f"/%5c{EVIL}", f"/{EVIL}/%2e%2e", f"/%0d%0aLocation:%20http://{EVIL}", f"/?next=//{EVIL}",
        f"/api/tokens/dashboard?next=//{EVIL}", "/api/tokens/dashboard/%0d%0aX-Evil:1",
        f"/sign-in?next=http://{EVIL}", f"/static//{EVIL}", f"/docs//{EVIL}", f"/dashboard/tokens/%2f%2f{EVIL}",
        f"/dashboard/tokens//{EVIL}/rotate",
    )  # fmt: skip
    for path in paths:
        request = f"GET {path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\nConnection: close\r\n\r\n"
        head = target.exchange(request.encode()).split(b"\r\n\r\n")[0].decode("latin-1").lower()
        location = next((line[9:].strip() for line in head.split("\r\n") if line.startswith("location:")), "")
        goes = (
            location and not location.startswith((f"http://{target.host}:{target.port}/", "/"))
        ) or location.startswith("//")
        trial.see(f"{head[9:12]} {location}"[:60], holds=not goes and "x-evil" not in head and " 5" not in head[8:10])


def _asked(http: httpx.Client, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    return patiently(http, method, http.base_url.copy_with(raw_path=path.encode()), headers=headers)


ATTACKS: tuple[Attack, ...] = (manage_tokens, ask_across, read_metrics, lie_about_host, wander)
