"""Checks whether Telnyx would accept a command, by the SDK's types and the limits that its documentation states."""

from __future__ import annotations

import base64
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Required, Union, get_args, get_origin, get_type_hints
from xml.etree import ElementTree

from telnyx._types import SequenceNotStr
from telnyx._utils import PropertyInfo
from telnyx.types.call_dial_params import CallDialParams
from telnyx.types.calls.action_gather_using_speak_params import ActionGatherUsingSpeakParams
from telnyx.types.calls.action_hangup_params import ActionHangupParams
from telnyx.types.calls.action_speak_params import ActionSpeakParams
from typing_extensions import is_typeddict

COMMANDS: dict[str, Any] = {
    "dial": CallDialParams,
    "gather_using_speak": ActionGatherUsingSpeakParams,
    "speak": ActionSpeakParams,
    "hangup": ActionHangupParams,
}

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_DISPLAY_NAME = re.compile(r"[0-9A-Za-z \-_~!.+]{1,128}")


def find_violations(command: str, body: object) -> list[str]:
    """What is wrong with the body of `command`. Empty if Telnyx would accept it."""
    if not isinstance(body, dict):
        return [f"{command}: the body is not an object"]
    found = _compare_with_typeddict(body, COMMANDS[command], command)
    if not found:
        found = [
            f"{command}.{name}: {body[name]!r} is out of bounds"
            for name, holds in _LIMITS.items()
            if name in body and not holds(body[name])
        ]
    if not found and body.get("payload_type") == "ssml" and not _is_ssml(body["payload"]):
        found = [f"{command}.payload: not SSML"]
    return found


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False


def _is_ssml(text: str) -> bool:
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  # our own payload, in a test
    except ElementTree.ParseError:
        return False
    return root.tag.rpartition("}")[2] == "speak"


def _are_retries_in_bounds(policies: dict[str, Any]) -> bool:
    return all(
        event_type.startswith("call.") and len(policy["retries_ms"]) <= 5 and sum(policy["retries_ms"]) <= 60_000
        for event_type, policy in policies.items()
    )


_LIMITS: dict[str, Callable[[Any], bool]] = {
    "to": lambda value: bool(_E164.fullmatch(value)),
    "from": lambda value: bool(_E164.fullmatch(value)),
    "from_display_name": lambda value: bool(_DISPLAY_NAME.fullmatch(value)),
    "client_state": _is_base64,
    "command_id": bool,
    "timeout_secs": lambda value: 5 <= value <= 600,
    "time_limit_secs": lambda value: 1 <= value <= 14_400,
    "payload": lambda value: 0 < len(value) <= 3000,
    "minimum_digits": lambda value: 1 <= value <= 128,
    "maximum_digits": lambda value: 1 <= value <= 128,
    "timeout_millis": lambda value: value > 0,
    "webhook_url": lambda value: value.startswith(("https://", "http://127.0.0.1:", "http://localhost:")),
    "webhook_retries_policies": _are_retries_in_bounds,
}


@cache
def _fields(typeddict: Any) -> dict[str, tuple[Any, bool]]:
    """By the name in JSON: the type, and whether it is required."""
    fields: dict[str, tuple[Any, bool]] = {}
    for name, hint in get_type_hints(typeddict, include_extras=True).items():
        required, wire_name = False, name
        while get_origin(hint) in (Required, Annotated):
            required = required or get_origin(hint) is Required
            for extra in getattr(hint, "__metadata__", ()):
                if isinstance(extra, PropertyInfo) and extra.alias:
                    wire_name = extra.alias
            hint = get_args(hint)[0]
        fields[wire_name] = (hint, required)
    return fields


def _compare_with_typeddict(value: Mapping[str, Any], typeddict: Any, where: str) -> list[str]:
    fields = _fields(typeddict)
    found = [f"{where}.{name}: missing" for name, (_, required) in fields.items() if required and name not in value]
    for name, entry in value.items():
        if name not in fields:
            found.append(f"{where}.{name}: unknown")
        elif not _fits(entry, fields[name][0]):
            found.append(f"{where}.{name}: {entry!r} is not {fields[name][0]}")
    return found


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return value in arguments
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in arguments)
    if is_typeddict(hint):
        return isinstance(value, dict) and not _compare_with_typeddict(value, hint, "")
    if origin is dict or origin is Mapping:
        return isinstance(value, dict) and all(_fits(entry, arguments[1]) for entry in value.values())
    if origin in (list, Sequence, Iterable, SequenceNotStr):
        return isinstance(value, list) and all(_fits(entry, arguments[0]) for entry in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is hint
