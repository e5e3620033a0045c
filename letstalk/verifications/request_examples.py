"""One request to the API, written as `curl`, in Python and in JavaScript: for people to copy into their programs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TOKEN_VARIABLE = "LETSTALK_TOKEN"  # the name of a variable: no example contains a token


@dataclass(frozen=True, slots=True)
class ApiRequestExample:
    """A request with a token. `body` None is a request without one."""

    method: str
    url: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def in_every_language(request: ApiRequestExample) -> tuple[tuple[str, str], ...]:
    """(name of the language, text of the program) for each language."""
    return (("curl", as_curl(request)), ("Python", as_python(request)), ("JavaScript", as_javascript(request)))


def as_curl(request: ApiRequestExample) -> str:
    """A command for a POSIX shell."""
    method = "" if request.method == "GET" else f"-X {request.method} "
    lines = [f"curl {method}{shlex.quote(request.url)}", f'-H "Authorization: Bearer ${TOKEN_VARIABLE}"']
    lines += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in request.headers.items()]
    if request.body is not None:
        lines += ['-H "Content-Type: application/json"', f"-d {shlex.quote(_json(request.body))}"]
    return " \\\n  ".join(lines)


def as_python(request: ApiRequestExample) -> str:
    """A program that needs the package `requests`."""
    headers = "".join(f"        {json.dumps(name)}: {json.dumps(value)},\n" for name, value in request.headers.items())
    body = "" if request.body is None else f"    json={_python(request.body)},\n"
    return (
        "import os\n\nimport requests\n\n"
        f"response = requests.{request.method.lower()}(\n"
        f"    {json.dumps(request.url)},\n"
        "    headers={\n"
        f'        "Authorization": "Bearer " + os.environ["{TOKEN_VARIABLE}"],\n'
        f"{headers}"
        "    },\n"
        f"{body}"
        "    timeout=10,\n"
        ")\n"
        "print(response.status_code, response.json())"
    )


def as_javascript(request: ApiRequestExample) -> str:
    """A module for Node: the token is a secret, which no browser may know."""
    given = {} if request.body is None else {"Content-Type": "application/json"}
    headers = "".join(
        f"    {json.dumps(name)}: {json.dumps(value)},\n" for name, value in {**given, **request.headers}.items()
    )
    body = "" if request.body is None else f"  body: JSON.stringify({_json(request.body)}),\n"
    return (
        f"const response = await fetch({json.dumps(request.url)}, {{\n"
        f"  method: {json.dumps(request.method)},\n"
        "  headers: {\n"
        f'    "Authorization": `Bearer ${{process.env.{TOKEN_VARIABLE}}}`,\n'
        f"{headers}"
        "  },\n"
        f"{body}"
        "});\n"
        "console.log(response.status, await response.json());"
    )


def _json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False)


def _python(body: Mapping[str, Any]) -> str:
    """A dictionary of texts, numbers and switches as Python writes it, with double quotes."""
    items = (f"{json.dumps(name)}: {_python_value(value)}" for name, value in body.items())
    return "{" + ", ".join(items) + "}"


def _python_value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
