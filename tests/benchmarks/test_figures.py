"""The calculations of the benchmark, with known results."""

from __future__ import annotations

import math

import pytest

from tools.benchmarks.channels import best_last_start, busy_share, idle_gaps
from tools.benchmarks.contests import LOAD, Result, Results
from tools.benchmarks.figures import Goal, Spread, percentile
from tools.benchmarks.loads import Response, UnexpectedResponse, expect, parse_response, request, send_each


def result(share: float) -> Result:
    return Result(share * 1000, share, share, 1.0, 1.0, 2.0, {LOAD: 0.1})


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, percent) for percent in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert percentile([7.0], 99) == 7
    assert math.isnan(percentile([], 99))


def test_a_spread_shows_its_median_first() -> None:
    assert Spread.of([0.5, 0.61, 0.55]).show() == "0.55 (0.50–0.61)"  # noqa: RUF001  # a range
    assert Spread.of([1234.0]).show(0) == "1,234"


def test_a_goal_is_judged_by_the_median() -> None:
    measured = Spread.of([0.4, 0.45, 0.5])
    assert Goal.at_least("verify", measured, 0.45).is_met
    assert not Goal.at_least("verify", measured, 0.46).is_met


def test_contestants_are_compared_round_by_round() -> None:
    results = Results()
    for ours, theirs in ((0.6, 0.3), (0.4, 0.1), (0.5, 0.2)):
        results.add("ours", result(ours))
        results.add("theirs", result(theirs))
    assert results.spread("ours").median == 0.5
    assert results.ratio_between("ours", "theirs").median == pytest.approx(2.5)


def test_channels_without_gaps_are_busy_all_the_time() -> None:
    calls = [(0.0, 2.0), (0.0, 3.0), (2.0, 5.0), (3.0, 6.0)]
    assert busy_share(calls, 0.0, 3.0, channels=2) == 1.0
    assert idle_gaps(calls, channels=2) == [0.0, 0.0]


def test_a_gap_between_two_calls_is_idle_time() -> None:
    calls = [(0.0, 2.0), (0.0, 3.0), (2.5, 5.0), (4.0, 6.0)]
    assert idle_gaps(calls, channels=2) == [0.5, 1.0]
    assert busy_share(calls, 0.0, 4.0, channels=2) == pytest.approx((2 + 3 + 1.5) / 8)


def test_the_best_last_start_loses_no_time() -> None:
    assert best_last_start([2.0, 3.0, 3.0, 1.0], channels=2) == 3.0
    assert best_last_start([1.0], channels=2) == 0.0


def test_a_response_is_read_when_all_of_it_has_arrived() -> None:
    whole = b'HTTP/1.1 202 ACCEPTED\r\nContent-Length: 4\r\n\r\n{"a"'
    assert parse_response(whole) == Response(202, b'{"a"')
    assert parse_response(whole[:-1]) is None
    assert parse_response(whole[:20]) is None
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
    assert parse_response(chunked) is None
    assert parse_response(chunked + b"0\r\n\r\n") is not None


def test_a_request_says_how_long_it_is() -> None:
    sent = request("POST", "/calls/otp", b"{}", "Authorization: Bearer x\r\n")
    assert sent.startswith(b"POST /calls/otp HTTP/1.1\r\n")
    assert sent.endswith(b"Content-Length: 2\r\n\r\n{}")


def test_an_unexpected_response_ends_the_measurement() -> None:
    exchange = send_each([b"one", b"two"], 202)
    assert next(exchange) == b"one"
    assert exchange.send(Response(202, b"")) == b"two"
    with pytest.raises(UnexpectedResponse, match="500 instead of 202"):
        exchange.send(Response(500, b"oh"))
    assert expect(200, Response(200, b"")).status == 200
