"""Devices as a person knows them: what a program calls itself, in two or three words."""

from __future__ import annotations

import re

# The first that fits counts: each browser also claims to be those that came before it.
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
_LONGEST = 40
_PRODUCT = re.compile(rf"[^\s/();]{{1,{_LONGEST}}}")  # RFC 9110, section 10.1.5: name/version


def name_device(user_agent: str) -> str:
    """`Firefox on Windows`, `curl`; `Unknown device` for a program that does not say what it is."""
    if not user_agent.startswith("Mozilla/"):
        product = _PRODUCT.match(user_agent)
        return product[0] if product else "Unknown device"
    program = next((name for mark, name in _PROGRAMS if mark in user_agent), "Browser")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), None)
    return program if system is None else f"{program} on {system}"
