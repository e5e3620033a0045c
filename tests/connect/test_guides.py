"""The guides in docs/connect/ have the steps and the lines of the guides in the dashboard."""

from __future__ import annotations

from pathlib import Path

import pytest

from letstalk.connect.kinds import KINDS

FOLDER = Path(__file__).parents[2] / "docs" / "connect"


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_has_every_step_and_every_line_to_paste(kind: str) -> None:
    page = words((FOLDER / f"{kind}.md").read_text(encoding="utf-8"))
    secret = "v1,whsec_…" if kind == "supabase" else "lt_connect_…"
    assert len(KINDS[kind].guide) >= 2
    for step in KINDS[kind].guide:
        assert words(step.text) in page
        assert words(step.lines(f"https://calls.example.com/connect/{kind}/ltc_…", secret) or "") in page
    for field, _ in KINDS[kind].fields.table():
        assert field.partition(".")[0] in page


def test_every_page_is_in_the_overview_and_every_kind_has_one() -> None:
    overview = (FOLDER / "README.md").read_text(encoding="utf-8")
    pages = {path.stem for path in FOLDER.glob("*.md")} - {"README"}
    assert set(KINDS) <= pages
    assert [page for page in sorted(pages) if f"({page}.md)" not in overview] == []
