from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from letstalk.core.ids import first_id, new_id

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS)
def test_an_id_is_a_uuid_of_version_7_as_we_write_them(moment: datetime) -> None:
    made = new_id(moment)
    assert str(UUID(made)) == made
    assert (UUID(made).version, UUID(made).variant) == (7, RFC_4122)


def test_later_ids_come_after_earlier_ones() -> None:
    made = [new_id(NOON + timedelta(milliseconds=number)) for number in range(100)]
    assert made == sorted(made)


def test_ids_of_one_moment_differ_in_every_bit_that_may() -> None:
    made = [UUID(new_id(NOON)).int for _ in range(500)]
    assert len(set(made)) == 500
    differing = 0
    for one in made:
        differing |= one ^ made[0]
    assert differing.bit_count() == 74


def test_the_first_id_of_a_moment_before_1970_is_before_all_others() -> None:
    assert first_id(datetime(443, 1, 19, tzinfo=UTC)) < new_id(datetime(1970, 1, 2, tzinfo=UTC))
