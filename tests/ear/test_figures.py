from __future__ import annotations

import pytest

from tools.ear.figures import Share, paired_p, share_of


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"), [(100, 100, 96.3, 100), (0, 20, 0, 16.1), (74, 100, 64.6, 81.6), (0, 0, 0, 100)]
)
def test_an_interval_is_wilsons(hits: int, trials: int, low: float, high: float) -> None:
    share = Share(hits, trials)

    assert share.low == pytest.approx(low, abs=0.1)
    assert share.high == pytest.approx(high, abs=0.1)


def test_a_share_is_shown_with_its_interval() -> None:
    assert str(share_of([True] * 19 + [False])) == "19 of 20 [76-99 %]"


def test_a_paired_test_counts_only_the_trials_that_differ() -> None:
    same = [True] * 50 + [False] * 50
    worse = [False] * 10 + same[10:]

    assert paired_p(same, same) == 1.0
    assert paired_p(same, worse) == paired_p(worse, same) == pytest.approx(2 / 2**10)
    assert paired_p([True, False], [False, True]) == 1.0
    with pytest.raises(ValueError, match="same trials"):
        paired_p(same, same[1:])
