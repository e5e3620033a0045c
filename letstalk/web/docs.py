"""The OpenAPI document, and a page to browse it that asks no other host for anything."""

from __future__ import annotations

from pathlib import Path

import flask_openapi3_swagger
from flask import Blueprint, current_app, g, jsonify, render_template, send_from_directory
from flask.typing import ResponseReturnValue

from letstalk.web.guards import public

docs = Blueprint("docs", __name__)

SWAGGER_FOLDER = Path(flask_openapi3_swagger.__file__).parent / "templates" / "swagger"

# Swagger UI writes style attributes and shows its icons as data.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@docs.get("/openapi.json")
@public
def document() -> ResponseReturnValue:
    return jsonify(current_app.extensions["letstalk_openapi"])


@docs.get("/docs")
@public
def browse() -> ResponseReturnValue:
    g.content_security_policy = POLICY
    return render_template("docs/browse.html")


@docs.get("/docs/assets/<path:name>")
@public
def asset(name: str) -> ResponseReturnValue:
    """Swagger UI's own files, from its Python package."""
    return send_from_directory(SWAGGER_FOLDER, name, max_age=86400)
