"""What the dashboard shows of a token: its state, a chart of its requests (SVG in the template), and an example."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from letstalk.core.scopes import Scope
from letstalk.tokens import usage
from letstalk.tokens.models import Token
from letstalk.tokens.usage import DailyRequests, EndpointRequests

CHART_DAYS = 14
ENDPOINT_LABELS = {
    usage.SEND: "Send: POST /calls/otp",
    usage.CHECK: "Check: POST /calls/verify",
    usage.REPLAY: "Replay: POST /calls/replay",
    usage.CANCEL: "Cancel",
    usage.READ: "Read: GET /calls",
    usage.TOKENS: "Tokens: /api/tokens",
    usage.OTHER: "Other requests",
}
# The README has the same example.
EXAMPLE_PHONE = "+12025550142"


@dataclass(frozen=True, slots=True)
class Bar:
    """One day: the position and size of its bar, in the units of the chart, and its label."""

    x: float
    y: float
    width: float
    height: float
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Chart:
    """`summary` describes the bars in words."""

    bars: tuple[Bar, ...]
    width: int
    height: int
    total: int
    summary: str


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token and its requests in the last 14 days.

    `state` is `active`, `expiring` (replaced in a rotation), `expired`, `suspended` or `revoked`. `is_manageable` is
    true if the person who is signed in may change the token. `at` is now.
    """

    token: Token
    state: str
    chart: Chart
    is_manageable: bool
    at: datetime

    @property
    def title(self) -> str:
        return self.token.name or "Unnamed token"

    @property
    def can_rotate(self) -> bool:
        return self.is_manageable and self.state in ("active", "suspended") and self.token.successor_id is None

    @property
    def can_revoke(self) -> bool:
        return self.is_manageable and self.state in ("active", "expiring", "suspended")

    @property
    def can_edit(self) -> bool:
        return self.can_revoke

    @property
    def mark(self) -> str | None:
        """What somebody should look at, in words: that it is unused, or expires soon."""
        if self.token.expires_soon(self.at) and self.token.successor_id is None:
            return "expires soon"
        if self.token.is_unused(self.at):
            return "never used" if self.token.last_used is None else "unused"
        return None


@dataclass(frozen=True, slots=True)
class Example:
    title: str
    command: str


def show_token(
    token: Token, by_day: Sequence[DailyRequests], now: datetime, *, large: bool, is_manageable: bool
) -> TokenView:
    """`token` with the chart of its requests `by_day`, oldest first: `large` for its page, else small."""
    counts = [(of_day.day, of_day.requests) for of_day in by_day]
    width, height, gap = (700, 120, 10) if large else (97, 24, 3)
    chart = draw_chart(counts, width=width, height=height, gap=gap)
    return TokenView(token, _state_of(token, now), chart, is_manageable, now)


def draw_chart(days: Sequence[tuple[date, int]], *, width: int, height: int, gap: float) -> Chart:
    """The bars of `days`, oldest first, with a `gap` between them, in a box of `width` by `height`.

    The highest bar has the full height. A day without requests is drawn as a line, so that the days can be counted. A
    day with few requests gets a higher bar than that, so that the two can be told apart.
    """
    highest = max((count for _, count in days), default=0)
    step = (width + gap) / max(1, len(days))
    bars = []
    for index, (day, count) in enumerate(days):
        bar_height = max(height * count / highest, height / 10, 3) if count else max(1, height / 50)
        bars.append(
            Bar(
                x=round(index * step, 2),
                y=round(height - bar_height, 2),
                width=round(step - gap, 2),
                height=round(bar_height, 2),
                label=_short_date(day),
                count=count,
            )
        )
    total = sum(count for _, count in days)
    return Chart(tuple(bars), width, height, total, _describe(days, total, highest))


def show_endpoints(counted: Sequence[EndpointRequests], total: int) -> list[tuple[str, int, int, str]]:
    """What was requested, for bars: (label, count, percent of the most frequent, share of all in words).

    The last line is what of `total` is from before requests were counted by endpoint.
    """
    rows = [(ENDPOINT_LABELS[one.endpoint], one.requests) for one in counted]
    together = sum(count for _, count in rows)
    if total > together:
        rows.append(("From before an upgrade", total - together))
    most, everything = max((count for _, count in rows), default=1), max(total, together, 1)
    return [(label, n, max(1, round(100 * n / most)), f"{100 * n / everything:.0f} %") for label, n in rows]


def make_example(token: Token, secret: str, base_url: str) -> Example:
    """A `curl` command that the scopes of `token` permit. `secret` is its text, `base_url` the service's address."""
    authorization = f'-H "Authorization: Bearer {secret}"'
    if Scope.OTP_SEND not in token.granted:
        command = f"curl {base_url}/api/tokens/current \\\n  {authorization}"
        return Example("Try it: get the record of this token", command)
    lines = (
        f"curl -X POST {base_url}/calls/otp",
        authorization,
        '-H "Content-Type: application/json"',
        f"-d '{json.dumps({'phone': EXAMPLE_PHONE})}'",
    )
    return Example("Try it: call a phone", " \\\n  ".join(lines))


def _state_of(token: Token, now: datetime) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if not token.is_live(now):
        return "expired"
    if token.is_suspended:
        return "suspended"
    return "active" if token.successor_id is None else "expiring"


def _short_date(day: date) -> str:
    return f"{day.day} {day:%b}"


def _describe(days: Sequence[tuple[date, int]], total: int, highest: int) -> str:
    if not total:
        return f"No requests in the last {len(days)} days"
    busiest = next(day for day, count in days if count == highest)
    requests = "1 request" if total == 1 else f"{total:,} requests"
    return f"{requests} in the last {len(days)} days, at most {highest:,} a day, on {_short_date(busiest)}"
