"""The request as our views see it: a JSON object, or a clear refusal."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any, NoReturn

import orjson
from flask import Request
from flask_openapi3 import OpenAPI
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from letstalk.core.errors import InvalidRequest

MAX_BODY_BYTES = 64 * 1024


class ApiRequest(Request):
    """Flask's request, stricter about bodies: flask-openapi3 would read a broken one as if there were none."""

    max_content_length = MAX_BODY_BYTES
    _body: dict[str, Any] | None = None

    def get_json(self, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
        """The body as a JSON object; an empty body is an empty object. Flask's arguments change nothing here.

        Raises InvalidRequest for what is not JSON or not an object, UnsupportedMediaType for a body of another
        type, RequestEntityTooLarge over 64 KiB.
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
    """A body as a JSON object. Raises InvalidRequest for what is none."""
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
        # Half a character is JSON too (RFC 8259, section 8.2): its field is refused, not the whole body.
        return json.loads(raw.decode(), parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class App(OpenAPI):
    """No view or hook is a coroutine; to ask each of them, at each request, whether it is one costs 15 µs."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func
