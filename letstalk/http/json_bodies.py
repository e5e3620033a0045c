"""JSON bodies: of requests, which must be objects, and of responses. orjson takes a fifth of the time of `json`."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any, NoReturn

import orjson
from flask import Request, Response
from flask.json.provider import JSONProvider
from flask_openapi3 import OpenAPI
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from letstalk.core.errors import InvalidRequest
from letstalk.observability.terminal import escape_json

MAX_BODY_BYTES = 64 * 1024
MIMETYPE = "application/json"


class ApiRequest(Request):
    """Flask's request, stricter about bodies: flask-openapi3 would treat an invalid one as missing."""

    max_content_length = MAX_BODY_BYTES
    _body: dict[str, Any] | None = None

    def get_json(self, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
        """The body as a JSON object; an empty body is an empty object. Flask's arguments change nothing here.

        Raises InvalidRequest for a body that is not JSON or not an object, UnsupportedMediaType for a body of another
        type, and RequestEntityTooLarge over 64 KiB.
        """
        if self._body is None:
            self._body = self._read_object()
        return self._body

    def _read_object(self) -> dict[str, Any]:
        if self.content_length is not None and self.content_length > MAX_BODY_BYTES:
            raise RequestEntityTooLarge
        raw = self.get_data(cache=True)
        if not raw:
            return {}
        if not self.is_json:
            raise UnsupportedMediaType
        return parse_object(raw)


def parse_object(raw: bytes) -> dict[str, Any]:
    """A body as a JSON object. Raises InvalidRequest when it is none."""
    try:
        parsed = _parse(raw.removeprefix(BOM_UTF8))
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    except ValueError:
        raise InvalidRequest("The body is not valid JSON.") from None
    if not isinstance(parsed, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return parsed


def _parse(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except ValueError:
        # A lone surrogate is valid JSON (RFC 8259, section 8.2): only its field is rejected, not the whole body.
        return json.loads(raw.decode(), parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class App(OpenAPI):
    """No view or hook is a coroutine. To ask each of them in each request whether it is one costs 15 µs."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


class JsonBodies(JSONProvider):
    """What `jsonify` uses. Fields keep their order."""

    def dumps(self, obj: Any, **_options: Any) -> str:
        return _to_json(obj).decode()

    def loads(self, s: str | bytes, **_options: Any) -> Any:
        """Raises ValueError for text that is not JSON (RFC 8259): NaN, not UTF-8, nested more than 1,024 times."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(to_body(self._prepare_response_obj(args, kwargs)), mimetype=MIMETYPE)


def to_body(obj: Any) -> bytes:
    """`obj` as JSON, with a newline at the end for terminals."""
    return _to_json(obj) + b"\n"


def _to_json(obj: Any) -> bytes:
    try:
        body = orjson.dumps(obj)
    except TypeError:  # a number of over 64 bits, or a lone surrogate: valid in JSON, but not for orjson
        return json.dumps(obj).encode()
    # curl shows a response on a terminal.
    return body if body.isascii() and b"\x7f" not in body else escape_json(body.decode()).encode()
