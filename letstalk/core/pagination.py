"""Opaque cursors: where a page of a list ended."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from letstalk.core.errors import InvalidRequest
from letstalk.core.ids import canonical_id

Row = TypeVar("Row")


def encode_cursor(moment: datetime, row_id: str) -> str:
    """The cursor of the row that was created at `moment` with the UUID `row_id`, as URL-safe text."""
    text = f"{moment.astimezone(UTC).isoformat()} {row_id}"
    return urlsafe_b64encode(text.encode("ascii")).rstrip(b"=").decode("ascii")


def decode_cursor(text: str) -> tuple[datetime, str]:
    """What `encode_cursor` was given, with the moment in UTC. Raises InvalidRequest for any other text."""
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        moment_text, row_id = urlsafe_b64decode(padded).decode("ascii").split(" ")
        moment = datetime.fromisoformat(moment_text)
        if moment.utcoffset() == timedelta(0) and str(UUID(row_id)) == row_id:
            return moment, row_id
    except ValueError:
        pass
    raise _invalid()


def decode_id_cursor(text: str | None) -> str | None:
    """The id in a cursor that is nothing but an id, for lists in the order of ids of version 7; None for None.

    Raises InvalidRequest for any other text.
    """
    row_id = None if text is None else canonical_id(text)
    if text is not None and row_id is None:
        raise _invalid()
    return row_id


def cut_page(found: Sequence[Row], limit: int, cursor_of: Callable[[Row], str]) -> tuple[list[Row], str | None]:
    """The first `limit` rows, and the cursor of the last of them where more were found: look for one more than that."""
    page = list(found[:limit])
    return page, cursor_of(page[-1]) if len(found) > limit else None


def _invalid() -> InvalidRequest:
    return InvalidRequest.in_field("cursor", "cursor must be the next_cursor of a page of this list.")
