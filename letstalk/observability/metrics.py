"""Prometheus metrics: every step of a call, and no label that could grow without bound."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

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
verifications_total = Counter("letstalk_verifications_total", "Verifications by what became of them", ["outcome"])
calls_ended_total = Counter("letstalk_calls_ended_total", "Calls by their last status", ["status"])
events_total = Counter(
    "letstalk_provider_events_total", "Provider events by what was done with them", ["type", "result"]
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
calls_waiting = Gauge("letstalk_calls_waiting", "Calls that wait for a channel", multiprocess_mode="mostrecent")
calls_live = Gauge("letstalk_calls_live", "Calls that hold a channel", multiprocess_mode="mostrecent")
channels_total = Gauge("letstalk_channels_total", "Channels there are", multiprocess_mode="mostrecent")


def render_metrics() -> bytes:
    """The page that Prometheus reads: of this process, or of all that a supervisor runs beside it."""
    if values.ValueClass is values.MutexValue:
        return generate_latest()
    # The client writes to files that the processes share, because the supervisor named a folder for them.
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the one untyped class of a typed library
    return generate_latest(registry)
