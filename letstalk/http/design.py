"""The design page: every component of the dashboard, for who develops it. It does not exist in production."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, render_template

from letstalk.core.clock import utc_now
from letstalk.http.guards import signed_in

design = Blueprint("design", __name__)

COLOURS = (
    *("ground", "card", "sunk", "line", "line-strong", "text", "quiet", "accent", "accent-soft", "good", "good-soft"),
    *("info", "info-soft", "warn", "warn-soft", "bad", "bad-soft", "series-1", "series-2", "series-3", "series-4"),
)


@design.get("/design")
@signed_in
def show() -> str:
    now = utc_now()
    return render_template("http/design.html", now=now, earlier=now - timedelta(minutes=5), colours=COLOURS)
