"""Code within a sentence of a page."""

from __future__ import annotations

from letstalk.http.code_marks import mark_code


def test_what_is_between_backticks_is_code() -> None:
    assert mark_code("Run `flask db upgrade`, then `make run`.") == (
        "Run <code>flask db upgrade</code>, then <code>make run</code>."
    )
    assert mark_code("Nothing to do.") == "Nothing to do."


def test_markup_in_the_text_stays_text() -> None:
    assert mark_code("<b> `<script>`") == "&lt;b&gt; <code>&lt;script&gt;</code>"


def test_a_single_backtick_stays() -> None:
    assert mark_code("a ` b") == "a ` b"
