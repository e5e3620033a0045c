"""JSON of answers and requests, by orjson: a fifth of the time that Python's own takes."""

from __future__ import annotations

import json
from typing import Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider

MIMETYPE = "application/json"


class JsonBodies(JSONProvider):
    """What `jsonify` uses. Fields stand in the order in which we wrote them."""

    def dumps(self, obj: Any, **_options: Any) -> str:
        return _to_json(obj).decode()

    def loads(self, s: str | bytes, **_options: Any) -> Any:
        """Raises ValueError for what is not JSON (RFC 8259): NaN, text that is not UTF-8, nesting beyond 1,024."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(to_body(self._prepare_response_obj(args, kwargs)), mimetype=MIMETYPE)


def to_body(obj: Any) -> bytes:
    """`obj` as JSON, with the newline that keeps a terminal tidy."""
    return _to_json(obj) + b"\n"


def _to_json(obj: Any) -> bytes:
    try:
        return orjson.dumps(obj)
    except TypeError:  # a number of over 64 bits, or half a character: valid in JSON, too odd for orjson
        return json.dumps(obj).encode()
