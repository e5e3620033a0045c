"""The files that bring it into production: they name what exists, explain themselves, and hold no secret."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography.fernet import Fernet
from prometheus_client import Counter, Gauge, Histogram

from letstalk.config.settings import SECRET_NAMES, SETTING_NAMES, load_settings
from letstalk.http.connections import FILES_EACH, MAX_CONNECTIONS, OTHER_FILES
from letstalk.observability import metrics
from tests.support.commands import Installation
from tests.support.documents import ROOT, read
from tests.support.fixtures.processes import running
from tests.support.ports import free_port
from tests.support.services import needed, redis_binary

DEPLOY = ROOT / "deploy"
SETTINGS = {*SETTING_NAMES, *(f"{name}_FILE" for name in SECRET_NAMES)}
# What Prometheus and its client say themselves.
FOREIGN_METRICS = {"up", "process_resident_memory_bytes"}
WORDS = {"and", "by", "histogram_quantile", "increase", "le", "max", "min", "or", "rate", "sum"}


def read_yaml(path: Path) -> Any:
    return importlib.import_module("yaml").safe_load(path.read_text(encoding="utf-8"))


def series() -> dict[str, set[str]]:
    """Every name that may stand in a query, with its labels."""
    found: dict[str, set[str]] = {}
    for item in vars(metrics).values():
        if isinstance(item, Counter | Gauge | Histogram):
            (family,) = item.describe()
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}
            for suffix in suffixes[family.type]:
                found[family.name + suffix] = {*item._labelnames, *(["le"] if suffix == "_bucket" else [])}
    return found


def check_query(query: str) -> None:
    assert query.count("(") == query.count(")"), query
    known = series()
    selected = re.findall(r"\b([a-z_]+)(?:\{([^}]*)\})?(?=\[|\)| |$)", re.sub(r"by \([^)]*\)", "", query))
    for name, matchers in selected:
        if name in WORDS or name in FOREIGN_METRICS:
            continue
        assert name in known, f"{name} in {query}"
        for label in re.findall(r"(\w+)\s*(?:=~|!=|=)", matchers):
            assert label in known[name], f"{label} of {name} in {query}"
    names = [name for name, _ in selected if name in known]
    for group in re.findall(r"by \(([^)]*)\)", query):
        for label in re.split(r",\s*", group):
            assert any(label in known[name] for name in names), f"{label} in {query}"


def alerts() -> list[dict[str, Any]]:
    return [rule for group in read_yaml(DEPLOY / "alerts.yaml")["groups"] for rule in group["rules"]]


def test_every_alert_asks_for_series_that_exist() -> None:
    assert len(alerts()) >= 20
    for rule in alerts():
        check_query(rule["expr"])
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]


def test_every_alert_is_explained_and_no_other() -> None:
    section = read(ROOT / "docs" / "operations.md").section("Alerts").text
    rows = [re.split(r"(?<!\\)\|", row)[1:-1] for row in re.findall(r"^\|.+\|$", section, re.MULTILINE)]
    explained = {found.group(1): row for row in rows if (found := re.fullmatch(r" `(Letstalk\w+)` ", row[0]))}
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names))
    assert set(explained) == set(names)
    assert all(len(row) == 3 and all(len(cell) > 10 for cell in row) for row in explained.values())


def test_every_panel_of_the_dashboard_asks_for_series_that_exist() -> None:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    for query in queries:
        check_query(query.replace("$__rate_interval", "5m"))
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert all(panel["title"] and panel["description"] for panel in panels)
    # Each step of a call can be seen.
    shown = " ".join(queries)
    unseen = [name for name in series() if name.endswith(("_total", "_bucket")) and name not in shown]
    assert unseen == []


def test_the_check_itself_finds_what_is_wrong() -> None:
    for query in (
        "sum(rate(letstalk_nothing_total[5m]))",
        'sum(rate(letstalk_calls_ended_total{colour="red"}[5m]))',
        "sum by (colour) (rate(letstalk_calls_ended_total[5m]))",
        "sum(rate(letstalk_calls_ended_total[5m])",
        "rate(letstalk_queue_seconds[5m])",
    ):
        with pytest.raises(AssertionError):
            check_query(query)


def test_compose_names_settings_and_secrets_that_exist() -> None:
    compose = read_yaml(ROOT / "compose.yaml")
    assert set(compose["services"]) == {"server", "worker", "postgres", "redis"}
    for name in ("server", "worker"):
        service = compose["services"][name]
        assert set(service["environment"]) <= SETTINGS
        assert set(service["secrets"]) <= set(compose["secrets"])
        files = {value for key, value in service["environment"].items() if key.endswith("_FILE")}
        assert files == {f"/run/secrets/{secret}" for secret in service["secrets"]}
        given = {key for key in service["environment"] if key in SECRET_NAMES}
        assert given == set()
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    assert compose["networks"]["inside"] == {"internal": True}
    assert all(compose["services"][name]["networks"] == ["inside"] for name in ("postgres", "redis"))
    assert all("ports" not in compose["services"][name] for name in ("worker", "postgres", "redis"))
    assert all(port.startswith("127.0.0.1:") for port in compose["services"]["server"]["ports"])


def test_compose_believes_what_comes_from_the_host_and_no_other_container() -> None:
    compose = read_yaml(ROOT / "compose.yaml")
    believed = compose["services"]["server"]["environment"]["TRUSTED_PROXIES"]
    (network,) = compose["networks"]["outside"]["ipam"]["config"]
    assert believed == f"${{TRUSTED_PROXIES:-{network['gateway']}}}"
    assert ip_address(network["gateway"]) in ip_network(network["subnet"])


def test_redis_lets_only_those_in_who_know_the_password(tmp_path: Path) -> None:
    binary = needed("Redis", redis_binary())
    (tmp_path / "deploy").mkdir()
    shutil.copy(DEPLOY / "make-secrets.sh", tmp_path / "deploy")
    subprocess.run([tmp_path / "deploy" / "make-secrets.sh"], check=True, capture_output=True, timeout=30)
    _, config, *options = read_yaml(ROOT / "compose.yaml")["services"]["redis"]["command"]
    port = free_port()
    command = [str(binary), str(tmp_path / config.removeprefix("/run/")), *options, "--port", str(port)]
    url = (tmp_path / "secrets" / "redis_url").read_text().strip().replace("@redis:6379/", f"@127.0.0.1:{port}/")

    def is_ready(_: object) -> bool:
        try:
            with redis.Redis.from_url(url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    with (
        running(command, tmp_path, is_ready),
        redis.Redis(port=port) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_the_secrets_that_are_made_are_what_compose_and_the_settings_want(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    shutil.copy(DEPLOY / "make-secrets.sh", tmp_path / "deploy")
    for _ in range(2):
        subprocess.run([tmp_path / "deploy" / "make-secrets.sh"], check=True, capture_output=True, timeout=30)
        made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {f"./secrets/{name}" for name in made} == {
        secret["file"] for secret in read_yaml(ROOT / "compose.yaml")["secrets"].values()
    }
    environment = {
        f"{name.upper()}_FILE": f"secrets/{name}"
        for name in read_yaml(ROOT / "compose.yaml")["services"]["server"]["secrets"]
    }
    settings = load_settings({**environment, "TELEPHONY_PROVIDER": "simulator"}, None, root=tmp_path)
    assert made["postgres_password"].strip() in settings.database_url.get_secret_value()
    assert settings.encryption_keys[0].get_secret_value() == made["encryption_keys"].strip()


def dockerfile() -> list[list[str]]:
    """Its instructions, each as its words."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [line.split() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def test_the_image_is_not_root_checks_hashes_and_holds_no_secret() -> None:
    instructions = dockerfile()
    names = [words[0] for words in instructions]
    assert all(words[1].startswith("python:3.11-slim") for words in instructions if words[0] == "FROM")
    assert "ARG" not in names
    users = [index for index, words in enumerate(instructions) if words == ["USER", "letstalk"]]
    assert users
    assert users[-1] < names.index("CMD")
    assert "HEALTHCHECK" in names
    assert ["STOPSIGNAL", "SIGTERM"] in instructions
    (install,) = [" ".join(words) for words in instructions if "pip" in " ".join(words)]
    assert "--require-hashes -r /requirements.txt" in install
    environment = {word.partition("=")[0] for words in instructions if words[0] == "ENV" for word in words[1:]}
    assert environment & {*SECRET_NAMES} == set()


def test_the_image_has_all_that_the_service_needs_and_nothing_else_is_sent_to_its_builder(tmp_path: Path) -> None:
    copied = [words[1] for words in dockerfile() if words[0] == "COPY" and not words[1].startswith("--")]
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(copied) == sorted(let_through)
    image = tmp_path / "image"
    for name in copied:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, image / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            image.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, image)
    program = (
        "import app; client = app.create_app().test_client(); "
        "print([client.get(path).status_code for path in ('/health', '/sign-in', '/docs')])"
    )
    environment = Installation(tmp_path, {"ENCRYPTION_KEYS": Fernet.generate_key().decode()}).environment
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=image, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "[200, 200, 200]\n", done.stderr


@pytest.mark.parametrize("name", ["letstalk.service", "letstalk-worker.service"])
def test_the_units_name_settings_that_exist_and_hand_secrets_over_as_files(name: str) -> None:
    text = (DEPLOY / name).read_text(encoding="utf-8")
    given = dict(re.findall(r"^Environment=(\w+)=(.+)$", text, re.MULTILINE))
    assert given.pop("MALLOC_ARENA_MAX") == "2"  # glibc's, no setting of ours
    if name == "letstalk.service":
        assert given.pop("HOST") == "127.0.0.1"  # only nginx on the same machine can connect
    assert set(given) <= {f"{secret}_FILE" for secret in SECRET_NAMES}
    credentials = set(re.findall(r"^LoadCredential=(\w+):", text, re.MULTILINE))
    assert {value.removeprefix("%d/") for value in given.values()} == credentials
    unit = RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # as its own documentation does
    unit.read_string(text)
    assert unit["Service"]["User"] == "letstalk"
    assert unit["Service"]["NoNewPrivileges"] == "true"
    assert int(unit["Service"]["TimeoutStopSec"]) >= 15
    assert int(unit["Service"]["LimitNOFILE"]) >= MAX_CONNECTIONS * FILES_EACH + OTHER_FILES
    started = unit["Service"]["ExecStart"].removeprefix("/opt/letstalk/.venv/bin/")
    assert started == {"letstalk.service": "python app.py", "letstalk-worker.service": "flask worker"}[name]


def test_nginx_writes_the_proxy_headers_itself_and_closes_what_is_for_the_inside() -> None:
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    headers = dict(re.findall(r"^\s*proxy_set_header (\S+) (\S+);$", text, re.MULTILINE))
    assert headers["X-Forwarded-For"] == "$remote_addr"
    assert headers["X-Forwarded-Proto"] == "$scheme"
    assert headers["Host"] == "$host"
    assert headers["X-Forwarded-Host"] == headers["Forwarded"] == '""'
    assert "$proxy_add_x_forwarded_for" not in text
    assert all(f"location = {path} {{ return 404; }}" in text for path in ("/metrics", "/health/ready"))
    (log_format,) = re.findall(r"log_format letstalk (.*?);\n", text, re.DOTALL)
    assert not re.search(r"\$(request|request_uri|args|query_string|http_referer)\b", log_format)


def test_prometheus_reads_servers_and_workers_under_the_name_that_the_alerts_expect() -> None:
    (job,) = read_yaml(DEPLOY / "prometheus.yml")["scrape_configs"]
    assert job["job_name"] == "letstalk"
    compose = read_yaml(ROOT / "compose.yaml")["services"]
    worker_port = compose["worker"]["environment"]["WORKER_METRICS"].rpartition(":")[2]
    assert job["static_configs"] == [{"targets": ["server:5000", f"worker:{worker_port}"]}]
