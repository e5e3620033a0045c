"""Cursors: only what was handed out is taken back."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letstalk.core.errors import InvalidRequest
from letstalk.core.pagination import cut_page, decode_cursor, encode_cursor

ROW_ID = "0b6f1d7e-3c55-4a1e-9f0c-5a2f4d6b8e11"


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_gives_back_what_it_was_made_of(moment: datetime, row_id: UUID) -> None:
    cursor = encode_cursor(moment, str(row_id))
    assert decode_cursor(cursor) == (moment, str(row_id))
    assert len(cursor) <= 200
    assert cursor.replace("-", "").replace("_", "").isalnum()


def test_a_moment_is_kept_in_utc() -> None:
    moment = datetime(2026, 11, 20, 15, 0, tzinfo=timezone(timedelta(hours=3)))
    assert decode_cursor(encode_cursor(moment, ROW_ID))[0].utcoffset() == timedelta(0)


@given(st.text())
def test_other_text_is_refused_in_the_field_cursor(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_cursor(text)
    assert caught.value.details[0].field == "cursor"


@pytest.mark.parametrize(
    "inside",
    [
        ROW_ID,
        f"2026-11-20T12:00:00 {ROW_ID}",
        f"0001-01-01T00:00:00+23:00 {ROW_ID}",
        "2026-11-20T12:00:00+00:00 not-an-id",
        f"2026-11-20T12:00:00+00:00 {ROW_ID.upper()}",
        f"2026-11-20T12:00:00+00:00 {ROW_ID} more",
    ],
)
def test_a_made_up_cursor_is_refused(inside: str) -> None:
    with pytest.raises(InvalidRequest):
        decode_cursor(urlsafe_b64encode(inside.encode()).decode())


@pytest.mark.parametrize(("found", "page", "cursor"), [("", "", None), ("ab", "ab", None), ("abc", "ab", "b")])
def test_a_page_has_a_cursor_only_where_there_is_more(found: str, page: str, cursor: str | None) -> None:
    assert cut_page(list(found), 2, lambda row: row) == (list(page), cursor)
