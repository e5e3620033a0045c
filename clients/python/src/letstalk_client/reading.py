"""JSON of the API as dataclasses. Fields that this version does not know are left out: new ones break nothing."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from letstalk_client.errors import UnexpectedResponse

Model = TypeVar("Model")


def read(model: type[Model], content: object) -> Model:
    """`content`, which is decoded JSON, as a `model`. Raises UnexpectedResponse where it has another shape."""
    try:
        return cast(Model, _read(model, content))
    except (KeyError, TypeError, ValueError) as error:
        raise UnexpectedResponse(f"This is no {model.__name__} of the API: {error!r}") from error


def _read(kind: Any, value: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _read(next(each for each in arguments if each is not type(None)), value)
    if origin is tuple:
        return tuple(_read(arguments[0], each) for each in _checked(value, list))
    if kind is datetime:
        return datetime.fromisoformat(_checked(value, str).replace("Z", "+00:00"))
    if isinstance(kind, type) and is_dataclass(kind):
        given = _checked(value, Mapping)
        return kind(**{name: _read(each, given[name]) for name, each in _kinds_of(kind).items()})
    if kind in (str, int, bool):
        return _checked(value, kind)
    return _checked(value, str) if origin is Literal else value


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


@cache
def _kinds_of(model: Any) -> dict[str, Any]:
    hints = get_type_hints(model)
    return {field.name: hints[field.name] for field in fields(model)}
