"""The style sheets and the scripts: readable by everyone, and asking nothing of another host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from letstalk.config.settings import PROJECT_ROOT

STATIC = PROJECT_ROOT / "static"
SHEETS = sorted(STATIC.glob("*.css"))
COLOURS = (STATIC / "theme.css").read_text()

TEXT_ON_GROUND = [
    *(("text", ground) for ground in ("ground", "card", "sunk")),
    *(("quiet", ground) for ground in ("ground", "card", "sunk")),
    *(("accent", ground) for ground in ("ground", "card", "accent-soft")),
    *(("bad", ground) for ground in ("ground", "card", "bad-soft")),
    *(("on-accent", "accent"), ("on-accent", "accent-strong"), ("on-bad", "bad"), ("on-bad", "bad-strong")),
    *((tone, ground) for tone in ("good", "info", "warn") for ground in ("card", f"{tone}-soft")),
    *(("quiet", "sunk"), ("card", "text")),
]
SHAPE_ON_GROUND = [("line-strong", "card"), ("line-strong", "ground"), ("accent", "ground"), ("bar", "card")]
SHAPE_ON_GROUND += [(f"series-{number}", "card") for number in range(1, 5)]


def colours(scheme: str) -> dict[str, str]:
    found = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", COLOURS)
    assert len(found) > 20
    return {name: light if scheme == "light" else dark for name, light, dark in found}


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


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_no_static_file_asks_another_host_for_anything(path: Path) -> None:
    content = path.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"//[a-z0-9.-]+\.[a-z]{2,}|@import|url\(", content)


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.name)
def test_colours_stand_in_the_theme_alone_and_no_sheet_is_long(path: Path) -> None:
    sheet = path.read_text()
    assert len(sheet.splitlines()) <= 500
    if path.name != "theme.css":
        assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[^{}]*[;}])|\brgba?\(|\bhsla?\(", sheet) == []


def test_every_colour_size_and_component_that_is_named_exists() -> None:
    defined = set(re.findall(r"(--[\w-]+):", "".join(path.read_text() for path in SHEETS)))
    used = {name for path in SHEETS for name in re.findall(r"var\((--[\w-]+)", path.read_text())}
    assert used - defined == set()


def test_no_template_has_a_style_or_a_script_of_its_own() -> None:
    # The Content-Security-Policy of the pages would block it.
    inline = re.compile(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\ssrc=)|javascript:")
    found = [path.name for path in (PROJECT_ROOT / "templates").rglob("*.html") if inline.search(path.read_text())]
    assert found == []
