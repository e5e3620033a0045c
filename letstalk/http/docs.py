"""The OpenAPI document, and a page to browse it that loads nothing from other hosts."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import flask_openapi3_swagger
from flask import Response, current_app, render_template, request, send_from_directory, url_for
from werkzeug.wsgi import wrap_file

from letstalk.config.settings import PROJECT_ROOT
from letstalk.http.guards import public
from letstalk.http.headers import POLICY as CONTENT_POLICY
from letstalk.http.json_bodies import MIMETYPE
from letstalk.http.openapi import ApiRoutes
from letstalk.http.schemas import Query

docs = ApiRoutes("docs", "Pages", "For people, and for tools.")

SWAGGER_FOLDER = Path(flask_openapi3_swagger.__file__).parent / "templates" / "swagger"

STATIC_FOLDER = PROJECT_ROOT / "static"
KEPT = "public, max-age=31536000, immutable"

# Swagger UI writes style attributes and shows its icons as data.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

DOCUMENT: dict[str, Any] = {"schema": {"type": "object", "required": ["openapi", "info", "paths"]}}
DESCRIPTION = {200: {"description": "OpenAPI 3.1.", "content": {MIMETYPE: DOCUMENT}}}


class AssetPath(Query):
    name: str


class StaticPath(Query):
    filename: str


class StaticMark(Query):
    v: str = ""


def static_url(filename: str) -> str:
    """The address of one of our files, with a hash of its content: browsers cache it until it changes."""
    return url_for("docs.style_or_script", filename=filename, v=_mark_of(filename))


def _mark_of(filename: str) -> str:
    path = STATIC_FOLDER / filename
    return _digest(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, _changed_at: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


@docs.get("/openapi.json", summary="This description", responses=DESCRIPTION)
@public
def get_description() -> Response:
    """The whole API, for tools that generate clients, tests and pages."""
    document = current_app.extensions["letstalk_openapi"]()
    # As a file, of which no connection has a copy: the server would keep what its client does not read.
    body = wrap_file(request.environ, BytesIO(document))
    return Response(body, mimetype=MIMETYPE, headers={"Content-Length": str(len(document))}, direct_passthrough=True)


@docs.get("/docs", doc_ui=False)
@public
def browse_description() -> str:
    """Works without internet access."""
    request.environ[CONTENT_POLICY] = POLICY
    return render_template("http/browse.html")


@docs.get("/llms.txt", doc_ui=False)
@public
def tell_language_models() -> Response:
    """How to use this service, in short, for programs that write programs (llmstxt.org)."""
    return Response((STATIC_FOLDER / "llms.txt").read_bytes(), mimetype="text/plain")


@docs.get("/static/<path:filename>", doc_ui=False)
@public
def style_or_script(path: StaticPath, query: StaticMark) -> Response:
    """A file of ours. Not by Flask's own view, whose requests Flask-Limiter does not count.

    With the mark of its content it is kept for a year; with an older one, as a page before an update has it, it is not.
    """
    response = send_from_directory(STATIC_FOLDER, path.filename)
    if query.v and query.v == _mark_of(path.filename):
        response.headers["Cache-Control"] = KEPT
    return response


@docs.get("/docs/assets/<path:name>", doc_ui=False)
@public
def asset(path: AssetPath) -> Response:
    """Swagger UI's own files, from its Python package."""
    return send_from_directory(SWAGGER_FOLDER, path.name, max_age=86400)
