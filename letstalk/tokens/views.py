"""API tokens as the dashboard's pages show them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from letstalk.core.scopes import Scope
from letstalk.http.charts import Chart, draw_chart
from letstalk.tokens.models import PREFIX, Token
from letstalk.tokens.usage import DailyRequests

CHART_DAYS = 14
# The README's example too: everybody puts their own phone in its place.
EXAMPLE_PHONE = "+256700123456"


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token and its last fortnight. `state` is `active`, `expiring` (rotated away), `expired` or `revoked`;
    `is_manageable` says whether whoever looks may change it.
    """

    token: Token
    state: str
    chart: Chart
    is_manageable: bool

    @property
    def title(self) -> str:
        return self.token.name or "Unnamed token"

    @property
    def can_rotate(self) -> bool:
        return self.is_manageable and self.state == "active"

    @property
    def can_revoke(self) -> bool:
        return self.is_manageable and self.state in ("active", "expiring")


@dataclass(frozen=True, slots=True)
class Example:
    """A command to paste, and what it does."""

    title: str
    command: str


def show_token(
    token: Token, usage: Sequence[DailyRequests], now: datetime, *, large: bool, is_manageable: bool
) -> TokenView:
    """`token` with the chart of its `usage`, oldest day first: `large` for its own page, else for a line of a list."""
    counts = [(of_day.day, of_day.requests) for of_day in usage]
    chart = (
        draw_chart(counts, width=700, height=120, gap=10) if large else draw_chart(counts, width=97, height=24, gap=3)
    )
    return TokenView(token, _state_of(token, now), chart, is_manageable)


def make_example(token: Token, secret: str, base_url: str) -> Example:
    """A `curl` that works with the rights of `token`, whose secret text is `secret`, at the service on `base_url`."""
    authorization = f'-H "Authorization: Bearer {secret}"'
    if Scope.OTP_SEND not in token.granted:
        return Example("Try it: ask what this token is", f"curl {base_url}/api/tokens/current \\\n  {authorization}")
    lines = (
        f"curl -X POST {base_url}/calls/otp",
        authorization,
        '-H "Content-Type: application/json"',
        f"-d '{json.dumps({'phone': EXAMPLE_PHONE})}'",
    )
    return Example("Try it: have a phone called", " \\\n  ".join(lines))


def searched_text(typed: str) -> str:
    """What to search for: a token, or its beginning, that was pasted into the search box becomes its public part.

    The rest of a pasted token is its secret, which has no business in a page or a query.
    """
    typed = typed.strip()[:100]
    if typed.startswith(f"{PREFIX}_"):
        return typed.split("_")[1]
    return typed


def _state_of(token: Token, now: datetime) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if not token.is_live(now):
        return "expired"
    return "active" if token.successor_id is None else "expiring"
