"""The documents say what is there: names, paths, settings, commands, links, error codes and tests."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from flask import Flask

from letstalk.config.settings import SECRET_NAMES, SETTING_NAMES
from letstalk.http.schemas import ERRORS
from tests.support.apps import Api, issue_token, make_app
from tests.support.documents import DOCUMENTS, ROOT, Document, read
from tools.house import ORDER

# Names in capitals that are no settings of the service.
OTHER_NAMES = {
    *("ENV_FILE", "MALLOC_ARENA_MAX", "NAME_FILE", "REQUIRE_ALL", "PYTEST_FLAGS", "LOCK_FLAGS", "SSL_CERT_FILE"),
    *("TWILIO_EDGE", "TWILIO_REGION"),
    *("ADMIN_TOKEN", "TOKEN_ID", "VERIFICATION_ID", "LETSTALK_URL", "LETSTALK_TOKEN", "LETSTALK_WEBHOOK_SECRET"),
    "MAX_TRIES",
    # Of the systems in docs/connect/, and what a reader fills in there.
    *("GOTRUE_EXTERNAL_PHONE_ENABLED", "GOTRUE_HOOK_SEND_SMS_ENABLED", "GOTRUE_HOOK_SEND_SMS_URI"),
    *("GOTRUE_HOOK_SEND_SMS_SECRETS", "LETSTALK_KEY", "CONNECTION_ID", "YOUR_ZITADEL", "ZITADEL_TOKEN", "PROVIDER_ID"),
}
# What Better Auth answers.
OTHER_NAMES |= {"INVALID_PHONE_NUMBER", "INVALID_PHONE", "INVALID_OTP", "OTP_EXPIRED", "TOO_MANY_ATTEMPTS"}
OTHER_NAMES |= {"PHONE_LIMIT", "DESTINATION_BLOCKED", "RESEND_TOO_SOON", "CALL_FAILED"}
# Settings of Django, its packages and Flask-Security.
OTHER_NAMES |= {
    "INSTALLED_APPS",
    "LOGIN_URL",
    "LOGIN_REDIRECT_URL",
    "PHONE_VERIFICATION",
    "TOKEN_LENGTH",
    "APP_NAME",
    "TOTP_SECRET",
}
OTHER_PREFIXES = ("ACCOUNT_", "TWO_FACTOR_", "SECURITY_", "VERIFY_SECURITY_")
SETTINGS = {*SETTING_NAMES, *(f"{name}_FILE" for name in SECRET_NAMES)}

SKIPPED_FOLDERS = {"instance", "secrets", "node_modules", "build", "dist"}
PATH_ENDINGS = r"(?:py|md|yaml|yml|toml|sh|sql|conf|service|html|css|js|mjs|json|txt|in|cfg)"
# Files that a page tells its reader to write.
EXAMPLE_FILES = {
    *("quick_start.py", "quick_start.mjs", "verify_phone.py", "verify_phone.mjs"),
    *("config.toml", "supabase/config.toml", "kratos.yml", "authgear.yaml", "authgear.secrets.yaml"),
}
EXAMPLE_FILES |= {"auth.js", "./auth.js", "migrate.js", "settings.py", "adapters.py", "manage.py", "urls.py"}


def _files() -> Iterator[Path]:
    """Every file of the repository, without what running and testing it makes."""
    folders = [ROOT]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            is_made = path.name in SKIPPED_FOLDERS or path.name.startswith((".", "__pycache__"))
            if path.is_dir() and (not is_made or path.name == ".ci"):
                folders.append(path)
            elif path.is_file():
                yield path


FILES = tuple(_files())
PAGES = tuple(path for path in FILES if path.suffix == ".md")
MODULES = tuple(path for path in FILES if path.suffix == ".py")
# `shared` is a folder of notes beside the repository, which a reader of the repository does not have.
TOP_FOLDERS = {"shared", *(path.relative_to(ROOT).parts[0] for path in FILES if path.parent != ROOT)}
PATH = re.compile(
    rf"(?<![\w/.:@<>{{}}$*~-])((?:\.\./)*(?:[\w.-]+/)*[\w-][\w.-]*\.{PATH_ENDINGS}"
    rf"|(?:{'|'.join(sorted(map(re.escape, TOP_FOLDERS)))})/(?:[\w.-]*[\w/-])?)(?![\w/*<{{(-])"
)


def paths_in(text: str) -> list[str]:
    """What reads like the path of a file, or like one that begins with a folder of the repository."""
    return PATH.findall(text)


@cache
def path_ends() -> frozenset[str]:
    """Every file's path from the root, and its ends: `tests/flows/test_mails.py`, `flows/test_mails.py` and so on."""
    parts = [path.relative_to(ROOT).parts for path in FILES]
    return frozenset("/".join(names[start:]) for names in parts for start in range(len(names)))


def is_here(name: str, folder: Path) -> bool:
    """Whether `name` is a path from the root or from `folder`, or the end of the path of a file."""
    if (ROOT / name).exists() or (folder / name).exists():
        return True
    return name in path_ends()


def comments_and_docstrings(path: Path) -> Iterator[str]:
    source = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: "/".join(path.parts[-2:]))


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path)


@cache
def known_tests() -> frozenset[str]:
    """The name of every test function and method under tests/."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "tests").rglob("test_*.py"))
    functions = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return frozenset(function.name for function in functions if function.name.startswith("test_"))


def tree_of(document: Document) -> Iterator[str]:
    """The path of every file and folder that a drawn tree names; a line may name several, before its two spaces."""
    [drawing] = document.blocks("tree")
    folders: list[str] = []
    for line in drawing.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names, _, about = line.strip().partition("  ")
        folders = folders[:depth]
        paths = ["".join([*folders, name]) for name in names.split()]
        if paths[-1].endswith("/"):
            inside = re.findall(r"\b\w+\.py\b", about) if ": " in about else []
            paths += [paths[-1] + name for name in inside]
            folders.append(names)
        yield from paths


def _as_described(rule: str) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)


@every_document
def test_every_link_leads_somewhere(path: Path) -> None:
    document = read(path)
    for link in document.links():
        if re.match(r"https?://", link):
            continue
        target, _, anchor = link.partition("#")
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), link
        assert not anchor or anchor in read(found).anchors(), link


@every_document
def test_every_setting_that_is_named_exists(path: Path) -> None:
    spans = read(path).spans()
    named = {name for span in spans for name in re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", span)}
    assert {name for name in named - OTHER_NAMES if not name.startswith(OTHER_PREFIXES)} <= SETTINGS


def test_every_file_that_a_page_names_exists() -> None:
    missing = []
    for path in PAGES:
        document = read(path)
        links = [link.partition("#")[0] for link in document.links() if not re.match(r"[a-z]+:", link)]
        missing += [f"{path}: {link}" for link in links if not (path.parent / link).exists()]
        named = {name for span in document.spans() for name in paths_in(span)}
        missing += [f"{path}: {name}" for name in named - EXAMPLE_FILES if not is_here(name, path.parent)]
    assert missing == []


def test_every_file_that_a_comment_or_a_docstring_names_exists() -> None:
    missing = []
    for path in MODULES:
        named = {name for text in comments_and_docstrings(path) for name in paths_in(text)}
        missing += [f"{path}: {name}" for name in named if not is_here(name, path.parent)]
    assert missing == []


@every_document
def test_every_module_that_a_page_runs_exists(path: Path) -> None:
    named = {name for span in read(path).spans() for name in re.findall(r"python3? -m ([\w.]+)", span)}
    assert sorted(name for name in named if importlib.util.find_spec(name) is None) == []


def test_the_search_for_paths_finds_them_and_leaves_other_text_alone() -> None:
    assert paths_in("see shared/costs.md, `docs/api.md` and deploy/.") == ["shared/costs.md", "docs/api.md", "deploy/"]
    assert paths_in("as tests/flows/ and conftest.py do (not/a/path, read/write, 1/2)") == [
        "tests/flows/",
        "conftest.py",
    ]
    assert paths_in("/etc/letstalk/settings.env, https://app.example.com/docs/api.md, GET /docs/x") == []
    assert not is_here("shared/costs.md", ROOT)
    assert is_here("test_docs.py", ROOT)
    assert is_here("../README.md", ROOT / "docs")


@every_document
def test_every_command_of_flask_that_is_named_exists(path: Path, app: Flask) -> None:
    text = "\n".join(read(path).spans())
    for first, second in re.findall(r"(?:^|/)flask ([a-z-]+)(?: ([a-z-]+))?", text, re.MULTILINE):
        command = app.cli.get_command(click.Context(app.cli), first)
        assert command is not None or first == "run", first
        if second and isinstance(command, click.Group):
            assert second in command.commands, f"flask {first} {second}"


@every_document
def test_every_option_of_flask_tokens_create_that_is_named_exists(path: Path, app: Flask) -> None:
    group = app.cli.get_command(click.Context(app.cli), "tokens")
    assert isinstance(group, click.Group)
    known = {option for parameter in group.commands["create"].params for option in parameter.opts}
    lines = [span for span in read(path).spans() if "flask tokens create" in span]
    assert {option for line in lines for option in re.findall(r"--[a-z-]+", line)} <= known


@every_document
def test_every_target_of_make_that_is_named_exists(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for span in read(path).spans():
        for target in re.findall(r"(?:^| )make ([a-z]+)\b", span):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_test_that_is_named_exists() -> None:
    documents = [read(path) for path in DOCUMENTS]
    named = {span for document in documents for span in document.spans() if re.fullmatch(r"test_\w+", span)}
    assert named <= known_tests(), f"there is no {', '.join(sorted(named - known_tests()))}"


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = list(tree_of(read(ROOT / "docs" / "architecture.md")))
    assert len(drawn) == len(set(drawn)), "something is drawn twice"
    assert not [name for name in drawn if not (ROOT / name).exists()], "something drawn is not there"


def test_the_packages_are_drawn_in_the_order_of_their_imports() -> None:
    drawn = list(tree_of(read(ROOT / "docs" / "architecture.md")))
    packages = [name.split("/")[1] for name in drawn if re.fullmatch(r"letstalk/\w+/", name)]
    assert packages == list(ORDER)
    there = {path.parent.name for path in (ROOT / "letstalk").glob("*/__init__.py")}
    assert there == set(ORDER)


def test_the_architecture_is_one_page() -> None:
    assert len(read(ROOT / "docs" / "architecture.md").text.splitlines()) <= 120


def test_the_api_guide_explains_every_error_code_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", read(ROOT / "docs" / "api.md").text, re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert {code: int(status) for status, code in rows} == {code: known.status for code, known in ERRORS.items()}


def test_the_api_guide_names_every_call_and_no_other(app: Flask) -> None:
    guide = read(ROOT / "docs" / "api.md")
    named = {span for span in guide.spans() if re.fullmatch(r"(GET|POST|PUT|PATCH|DELETE) /[\w/{}.-]*", span)}
    there = {
        f"{method.upper()} {path}"
        for path, operations in json.loads(app.extensions["letstalk_openapi"]())["paths"].items()
        for method in operations
        if method in ("get", "post", "put", "patch", "delete")
    }
    assert there <= named, f"not in docs/api.md: {', '.join(sorted(there - named))}"
    routes = {
        f"{method} {_as_described(rule.rule)}" for rule in app.url_map.iter_rules() for method in rule.methods or ()
    }
    assert named <= routes, f"only in docs/api.md: {', '.join(sorted(named - routes))}"


def test_what_is_told_to_language_models_is_there_and_complete(app: Flask) -> None:
    answer = app.test_client().get("/llms.txt")
    assert (answer.status_code, answer.content_type) == (200, "text/plain; charset=utf-8")
    named = set(re.findall(r"[\w./-]+\.md\b", answer.text))
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "connect").glob("*.md")]
    assert {str(path.relative_to(ROOT)) for path in pages if path.name != "README.md" or path.parent == ROOT} <= named
    assert [name for name in named if not (ROOT / name).exists()] == []
    paths = json.loads(app.extensions["letstalk_openapi"]())["paths"]
    calls = re.findall(r"\b(GET|POST) (/[\w/{}.-]+)", answer.text)
    assert len(calls) >= 8
    assert [call for call in calls if call[0].lower() not in paths.get(call[1], {})] == []


def test_the_limit_headers_are_written_as_the_api_guide_shows_them(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_TOKEN="2 per minute", RATE_LIMIT_ADDRESS="1200 per minute")
    api = Api(app.test_client(), issue_token(app))
    first, second, refused = (api.get("/calls") for _ in range(3))
    assert [answer.status_code for answer in (first, second, refused)] == [200, 200, 429]
    assert refused.headers["Retry-After"] == str(refused.get_json()["retry_after"])
    [shown] = read(ROOT / "docs" / "api.md").blocks("http")
    for line in shown.splitlines():
        name, _, example = line.partition(": ")
        form = re.sub(r"\d+", "[0-9]+", example)
        assert all(re.fullmatch(form, answer.headers[name]) for answer in (first, second, refused))
    assert first.headers["RateLimit-Policy"] == '"default";q=2;w=60'
    assert [answer.headers["RateLimit"].split(";")[1] for answer in (first, second, refused)] == ["r=1", "r=0", "r=0"]


def test_each_answer_to_a_standard_names_a_test_but_the_one_that_the_page_itself_answers() -> None:
    section = read(ROOT / "docs" / "security.md").section("The standards, line by line").text
    rows = [row for row in re.findall(r"^\|(.+)\|$", section, re.MULTILINE) if not re.match(r"(-|\s*Requirement)", row)]
    assert len(rows) >= 30
    untested = [row for row in rows if "`test_" not in row]
    # That the page itself says what the phone network can't promise.
    assert len(untested) == 1, untested


def test_what_other_apis_call_it_leads_to_calls_and_fields_that_exist(app: Flask) -> None:
    description = json.loads(app.extensions["letstalk_openapi"]())
    calls = {f"{method.upper()} {path}" for path, operations in description["paths"].items() for method in operations}
    schemas = description["components"]["schemas"].values()
    fields = {name for schema in schemas for name in schema.get("properties", {})}
    section = read(ROOT / "docs" / "authentication.md").section("Coming from another API").text
    rows = [row.split("|") for row in re.findall(r"^\|(.+)\|$", section, re.MULTILINE) if not row.startswith("---")]
    assert len(rows) >= 30
    ours = {span for _, here, _ in rows for span in re.findall(r"`([^`]+)`", here)}
    named_calls = {span for span in ours if re.match(r"[A-Z]+ /", span)}
    named_fields = {span for span in ours if re.fullmatch(r"[a-z_]+", span)}
    assert len(named_calls) >= 10
    assert len(named_fields) >= 10
    assert named_calls <= calls, named_calls - calls
    assert named_fields <= fields, named_fields - fields


def test_the_readme_shows_five_pictures_in_words_too_and_they_are_light() -> None:
    pictures = re.findall(r"!\[([^\]]*)\]\((docs/images/[^)]+)\)", read(ROOT / "README.md").text)
    assert len(pictures) == 5
    assert all(len(words) > 40 for words, _ in pictures)
    assert {path for _, path in pictures} == {f"docs/images/{file.name}" for file in (ROOT / "docs/images").iterdir()}
    assert sum((ROOT / path).stat().st_size for _, path in pictures) < 300_000
