"""Code within a sentence: the backticks that mark it in a terminal become an element on a page."""

from __future__ import annotations

from markupsafe import Markup, escape


def mark_code(text: str) -> Markup:
    """The text as HTML, each part that is between two backticks as `<code>`."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one backtick has no other
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )
