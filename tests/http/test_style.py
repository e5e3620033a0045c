"""The style sheet and the script: readable by everyone, and asking nothing of another host."""

from __future__ import annotations

import re

import pytest

from letstalk.config.settings import PROJECT_ROOT

STATIC = PROJECT_ROOT / "static"
CSS = (STATIC / "style.css").read_text()

TEXT_ON_GROUND = [
    *(("text", ground) for ground in ("ground", "card", "sunk")),
    *(("quiet", ground) for ground in ("ground", "card", "sunk")),
    *(("accent", ground) for ground in ("ground", "card", "accent-soft")),
    *(("bad", ground) for ground in ("ground", "card", "bad-soft")),
    *(("on-accent", "accent"), ("on-accent", "accent-strong"), ("on-bad", "bad"), ("on-bad", "bad-strong")),
    *(("good", "good-soft"), ("warn", "warn-soft")),
]
SHAPE_ON_GROUND = [("line-strong", "card"), ("line-strong", "ground"), ("accent", "ground"), ("bar", "card")]


def colours(scheme: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    blocks = light if scheme == "light" else light + dark
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks))


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_shapes_stand_out_as_wcag_aa_asks(scheme: str) -> None:
    named = colours(scheme)
    for pairs, least in ((TEXT_ON_GROUND, 4.5), (SHAPE_ON_GROUND, 3)):
        faint = [(front, back) for front, back in pairs if contrast(named[front], named[back]) < least]
        assert faint == []


@pytest.mark.parametrize("name", ["style.css", "script.js", "favicon.svg"])
def test_no_static_file_asks_another_host_for_anything(name: str) -> None:
    content = (STATIC / name).read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"//[a-z0-9.-]+\.[a-z]{2,}|@import|url\(", content)
