"""Prometheus metrics: every step of a call, and no label that could grow without bound."""

from __future__ import annotations

from typing import Any, Self

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge, generate_latest, values
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector


class _Remembering(MetricWrapperBase):
    """Finds a series by its labels with one look-up: the client itself checks them, and takes a lock, each time."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._series: dict[tuple[object, ...], Self] = {}

    def labels(self, *labelvalues: object, **labelkwargs: object) -> Self:
        series = self._series.get(labelvalues)
        if series is None:
            series = super().labels(*labelvalues, **labelkwargs)
            if not labelkwargs:
                self._series[labelvalues] = series
        return series


class Counter(_Remembering, prometheus_client.Counter):
    pass


class Histogram(_Remembering, prometheus_client.Histogram):
    pass


request_seconds = Histogram(
    "letstalk_request_seconds",
    "Time to answer a request",
    ["method", "route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
provider_command_seconds = Histogram(
    "letstalk_provider_command_seconds",
    "Time that the telephony provider took to answer a command",
    ["provider", "command", "outcome"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
# A verification: asked for, checked, over.
verifications_started_total = Counter("letstalk_verifications_started_total", "Codes that were asked for and accepted")
replays_total = Counter(
    "letstalk_replays_total", "Codes to be spoken again, by where: in the same call or in a new one", ["where"]
)
verifications_total = Counter("letstalk_verifications_total", "Verifications by what became of them", ["outcome"])
approval_seconds = Histogram(
    "letstalk_approval_seconds",
    "Time from the request of a code to its approval",
    buckets=(5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600),
)
# A call: queued, claimed, dialed, answered, spoken to, over.
calls_put_back_total = Counter(
    "letstalk_calls_put_back_total",
    "Dials that put their call back into the queue: the provider said no (limit) or failed (error)",
    ["because"],
)
answer_seconds = Histogram(
    "letstalk_answer_seconds",
    "Time from the claim of a channel to the answer",
    buckets=(1, 2.5, 5, 7.5, 10, 15, 20, 25, 30, 40),
)
code_delay_seconds = Histogram(
    "letstalk_code_delay_seconds",
    "Time from a call's acceptance to the provider's taking the code to read it out",
    buckets=(1, 2.5, 5, 10, 15, 20, 30, 45, 60, 120, 300, 600),
)
speeches_total = Counter(
    "letstalk_speeches_total", "Texts that the provider took to read out: a code, or the offer to press 1", ["what"]
)
calls_ended_silently_total = Counter(
    "letstalk_calls_ended_silently_total", "Calls that we found to be over, since no event told us"
)
calls_ended_total = Counter("letstalk_calls_ended_total", "Calls by their last status", ["status"])
events_total = Counter(
    "letstalk_provider_events_total", "Provider events by what was done with them", ["type", "result"]
)
event_delay_seconds = Histogram(
    "letstalk_provider_event_delay_seconds",
    "Time from an event's occurrence, by the provider's clock, to its having been applied",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300),
)
code_checks_total = Counter("letstalk_code_checks_total", "Codes checked", ["result"])
refusals_total = Counter("letstalk_refusals_total", "Requests refused", ["code"])
call_seconds = Histogram(
    "letstalk_call_seconds",
    "How long a call held its channel, by its last status",
    ["status"],
    buckets=(1, 2.5, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180),
)
queue_seconds = Histogram(
    "letstalk_queue_seconds",
    "Time from a call's acceptance to the claim of a channel for it",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 600),
)
dial_delay_seconds = Histogram(
    "letstalk_dial_delay_seconds",
    "Time from the claim of a channel to the dial request's leaving",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
silence_seconds = Histogram(
    "letstalk_silence_seconds",
    "Time from the decision to speak to the speak command's leaving",
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
# What runs in the background, and what it stands on.
sweep_seconds = Histogram(
    "letstalk_sweep_seconds",
    "Time that a sweep took",
    ["sweep"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15),
)
sweep_failures_total = Counter("letstalk_sweep_failures_total", "Sweeps that an error ended", ["sweep"])
task_failures_total = Counter("letstalk_task_failures_total", "Background tasks that an error ended")
queue_away_total = Counter("letstalk_queue_away_total", "Times that the task queue could not be reached")
# Named as it was before: dashboards ask for it.
wakeups_lost_total = Counter("letstalk_nudges_lost_total", "Wake-ups that found no place, left for a sweep to find")
wakeups_ignored_total = Counter(
    "letstalk_wakeups_ignored_total", "Messages in Redis that are no wake-up of ours: somebody else wrote them"
)
limit_storage_away_total = Counter(
    "letstalk_limit_storage_away_total", "Times that Redis was found away, and limits were counted in this process"
)
unexpected_errors_total = Counter("letstalk_unexpected_errors_total", "Requests that ended in an error of ours")
lost_keys_total = Counter("letstalk_lost_keys_total", "Values that no key in ENCRYPTION_KEYS opened", ["what"])
mails_total = Counter("letstalk_mails_total", "Tries to send a mail: sent, delayed or given up", ["result"])
sign_ins_total = Counter("letstalk_sign_ins_total", "Tries to sign in, by people and to the dashboard", ["result"])
forgotten_total = Counter("letstalk_forgotten_total", "Rows deleted because they were old", ["what"])
# Read from the database when the page is; the last that were read while it is away.
database_up = Gauge(
    "letstalk_database_up", "Whether the database answered when this page was made", multiprocess_mode="mostrecent"
)
events_waiting = Gauge(
    "letstalk_events_waiting", "Provider events that nobody has applied yet", multiprocess_mode="mostrecent"
)
longest_wait_seconds = Gauge(
    "letstalk_longest_wait_seconds",
    "How long the call has waited that waits for a channel longest",
    multiprocess_mode="mostrecent",
)
worker_seen_seconds = Gauge(
    "letstalk_worker_seen_seconds",
    "Time since any worker was seen at work; -1 when none ever was",
    multiprocess_mode="mostrecent",
)
calls_waiting = Gauge("letstalk_calls_waiting", "Calls that wait for a channel", multiprocess_mode="mostrecent")
calls_live = Gauge("letstalk_calls_live", "Calls that hold a channel", multiprocess_mode="mostrecent")
channels_total = Gauge("letstalk_channels_total", "Channels there are", multiprocess_mode="mostrecent")


def _begin_at_zero() -> None:
    """Show these before their first count: one that appears with it hides it from Prometheus, which knows growth."""
    known: tuple[tuple[Counter, tuple[tuple[str, ...], ...]], ...] = (
        (calls_put_back_total, (("limit",), ("error",))),
        (code_checks_total, (("right",), ("wrong",))),
        (events_total, (("unknown", "failed"), ("unknown", "put_aside"))),
        (lost_keys_total, (("token",), ("code",), ("password",), ("mail",))),
        (mails_total, (("sent",), ("delayed",), ("given_up",))),
        (refusals_total, (("queue_full",), ("invalid_token",), ("invalid_signature",))),
        (sign_ins_total, (("accepted",), ("refused",), ("throttled",))),
        (sweep_failures_total, (("fast",), ("slow",))),
    )
    for counter, combinations in known:
        for labels in combinations:
            counter.labels(*labels)


_begin_at_zero()


def render_metrics() -> bytes:
    """The page that Prometheus reads: of this process, or of all that a supervisor runs beside it."""
    if values.ValueClass is values.MutexValue:
        return generate_latest()
    # The client writes to files that the processes share, because the supervisor named a folder for them.
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the one untyped class of a typed library
    return generate_latest(registry)
