"""Prometheus metrics: every step of a call, and no label with an unbounded number of values."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
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
# The life of a verification.
verifications_started_total = Counter("letstalk_verifications_started_total", "Requests for a code that were accepted")
replays_total = Counter(
    "letstalk_replays_total", "Replays of a code, by where: in the same call or in a new one", ["where"]
)
verifications_total = Counter("letstalk_verifications_total", "Verifications by outcome", ["outcome"])
approval_seconds = Histogram(
    "letstalk_approval_seconds",
    "Time from the request of a code to its approval",
    buckets=(5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600),
)
# The life of a call.
calls_put_back_total = Counter(
    "letstalk_calls_put_back_total",
    "Dials after which the call went back into the queue: the provider refused (limit) or failed (error)",
    ["because"],
)
answer_seconds = Histogram(
    "letstalk_answer_seconds",
    "Time from the claim of a channel to the answer",
    buckets=(1, 2.5, 5, 7.5, 10, 15, 20, 25, 30, 40),
)
code_delay_seconds = Histogram(
    "letstalk_code_delay_seconds",
    "Time from a call's acceptance until the provider accepts the command to speak the code",
    buckets=(1, 2.5, 5, 10, 15, 20, 30, 45, 60, 120, 300, 600),
)
speeches_total = Counter(
    "letstalk_speeches_total", "Speak commands that the provider accepted: a code, or the offer to press 1", ["what"]
)
calls_ended_silently_total = Counter(
    "letstalk_calls_ended_silently_total", "Calls that were found to have ended without an event"
)
calls_ended_total = Counter("letstalk_calls_ended_total", "Calls by their last status", ["status"])
hook_requests_total = Counter("letstalk_hook_requests_total", "Requests of connected systems", ["kind", "outcome"])
webhook_deliveries_total = Counter("letstalk_webhook_deliveries_total", "Tries to send a webhook", ["outcome"])
webhook_seconds = Histogram(
    "letstalk_webhook_seconds",
    "Time that an endpoint took to answer a webhook",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
events_total = Counter("letstalk_provider_events_total", "Provider events by type and result", ["type", "result"])
event_delay_seconds = Histogram(
    "letstalk_provider_event_delay_seconds",
    "Time from an event, by the provider's clock, until it is applied",
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
    "Time from the claim of a channel until the dial request is sent",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
silence_seconds = Histogram(
    "letstalk_silence_seconds",
    "Time from the decision to speak until the speak command is sent",
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
# Background work and what it depends on.
sweep_seconds = Histogram(
    "letstalk_sweep_seconds",
    "Time that one sweep took",
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
    "letstalk_limit_storage_away_total",
    "Times that Redis became unreachable, so that limits are counted in this process",
)
unexpected_errors_total = Counter("letstalk_unexpected_errors_total", "Requests that ended in an unexpected error")
lost_keys_total = Counter("letstalk_lost_keys_total", "Values that no key in ENCRYPTION_KEYS could decrypt", ["what"])
mails_total = Counter("letstalk_mails_total", "Attempts to send an email: sent, delayed or given up", ["result"])
sign_ins_total = Counter("letstalk_sign_ins_total", "Attempts to sign in, by people and to the dashboard", ["result"])
forgotten_total = Counter("letstalk_forgotten_total", "Rows deleted by the retention sweep", ["what"])
# Read from the database for each page. While it cannot be reached, they keep their last values.
database_up = Gauge(
    "letstalk_database_up", "Whether the database answered when this page was made", multiprocess_mode="mostrecent"
)
events_waiting = Gauge(
    "letstalk_events_waiting", "Provider events that are not applied yet", multiprocess_mode="mostrecent"
)
longest_wait_seconds = Gauge(
    "letstalk_longest_wait_seconds",
    "How long the oldest waiting call has waited for a channel",
    multiprocess_mode="mostrecent",
)
worker_seen_seconds = Gauge(
    "letstalk_worker_seen_seconds",
    "Time since the last heartbeat of any worker; -1 if there was none",
    multiprocess_mode="mostrecent",
)
calls_waiting = Gauge("letstalk_calls_waiting", "Calls that wait for a channel", multiprocess_mode="mostrecent")
calls_live = Gauge("letstalk_calls_live", "Calls that hold a channel", multiprocess_mode="mostrecent")
channels_total = Gauge("letstalk_channels_total", "Channels in the account", multiprocess_mode="mostrecent")


def _begin_at_zero() -> None:
    """Show these series at zero: Prometheus computes growth, so a series that first appears at 1 hides that count."""
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
    """The page that Prometheus reads: for this process, or for all processes of one supervisor."""
    if values.ValueClass is values.MutexValue:
        return generate_latest()
    # The supervisor has named a folder where the processes share their values.
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the one untyped class of a typed library
    return generate_latest(registry)


class MetricsServer:
    """Responds to `GET /metrics`, and to nothing else, in threads of its own until `stop`."""

    def __init__(self, host: str, port: int, render: Callable[[], bytes]) -> None:
        """`port` 0 takes any free port. Raises OSError if it cannot listen."""

        class Page(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:  # the standard library's name
                if self.path.partition("?")[0] != "/metrics":
                    self.send_error(404)
                    return
                page = render()
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE_LATEST)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                """Logs nothing: Prometheus asks every few seconds."""

        self._server = ThreadingHTTPServer((host, port), Page)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
