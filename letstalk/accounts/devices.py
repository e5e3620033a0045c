"""The device that a person signs in from: as a session stores it, and as the pages name it."""

from __future__ import annotations

import re

from flask import request

from letstalk.accounts.models import Device
from letstalk.http.guards import remote_address

# The first match counts: each browser also names the browsers before it.
_PROGRAMS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrom", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_MAX_NAME_LENGTH = 40
_PRODUCT = re.compile(rf"[^\s/();]{{1,{_MAX_NAME_LENGTH}}}")  # RFC 9110, section 10.1.5: name/version


def current_device() -> Device:
    """The device that sent the current request."""
    return Device(remote_address(), request.headers.get("User-Agent", ""))


def name_device(user_agent: str) -> str:
    """`Firefox on Windows`, `curl`; `Unknown device` for a program that does not name itself."""
    if not user_agent.startswith("Mozilla/"):
        product = _PRODUCT.match(user_agent)
        return product[0] if product else "Unknown device"
    program = next((name for mark, name in _PROGRAMS if mark in user_agent), "Browser")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), None)
    return program if system is None else f"{program} on {system}"
