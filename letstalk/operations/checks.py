"""What is checked about an installation, and how each finding is judged. Pure: what was measured is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from letstalk.telephony.provider import AccountReport, Finding

# In the order in which they are shown.
TITLES = {
    "database": "Database",
    "migrations": "Migrations",
    "worker": "Worker",
    "queue": "Queue",
    "admin": "Admin",
    "calls": "Calls go to",
    "credentials": "Telephony account",
    "connection": "Telephony connection",
    "public_url": "Public address",
    "mail": "Mail",
    "clock": "Clock of the database",
    "provider_clock": "Clock of the provider",
}
READY_PARTS = ("database", "migrations", "worker", "queue")
"""What a server needs to do its work: what /health/ready asks about."""

WORKER_PATIENCE = timedelta(seconds=15)
EVENT_PATIENCE = timedelta(seconds=30)
# The time in an HTTP header has whole seconds and is as old as the response. A webhook may be 300 s old.
TOLERATED_CLOCK_SECONDS = 5.0
FATAL_CLOCK_SECONDS = 120.0


class CheckState(StrEnum):
    OK = "ok"
    WARNING = "warning"  # works, and something should be done
    FAILING = "failing"
    OFF = "off"  # not used by this installation
    PENDING = "pending"  # has not answered yet


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`measure` says what was found, `remedy` what to do about it; both are sentences for an operator."""

    name: str
    state: CheckState
    measure: str
    remedy: str = ""

    @property
    def title(self) -> str:
        return TITLES[self.name]

    @property
    def sentence(self) -> str:
        return f"{self.measure} {self.remedy}".strip()


def in_order(results: Iterable[CheckResult]) -> tuple[CheckResult, ...]:
    names = list(TITLES)
    return tuple(sorted(results, key=lambda result: names.index(result.name)))


def ok(name: str, measure: str) -> CheckResult:
    return CheckResult(name, CheckState.OK, measure)


def off(name: str, measure: str) -> CheckResult:
    return CheckResult(name, CheckState.OFF, measure)


def warning(name: str, measure: str, remedy: str) -> CheckResult:
    return CheckResult(name, CheckState.WARNING, measure, remedy)


def failing(name: str, measure: str, remedy: str) -> CheckResult:
    return CheckResult(name, CheckState.FAILING, measure, remedy)


def pending(name: str) -> CheckResult:
    return CheckResult(name, CheckState.PENDING, "No answer yet.")


def judge_migrations(found: str | None, expected: str) -> CheckResult:
    if found == expected:
        return ok("migrations", f"The database is at {expected}, as this version requires.")
    remedy = "Run `flask db upgrade`. Is an older version of this service still running?"
    return failing("migrations", f"The database is at {found or 'no migration'}, and needs {expected}.", remedy)


def judge_worker(seen_at: datetime | None, now: datetime) -> CheckResult:
    if seen_at is None or seen_at < now - WORKER_PATIENCE:
        remedy = "Start the server or `flask worker`, and look at its log: no call is placed without one."
        return failing("worker", "No worker has been seen for 15 s.", remedy)
    return ok("worker", f"Seen {_whole_seconds(seen_at, now)} s ago.")


def judge_queue(*, waiting: int, waits_since: datetime | None, has_late_events: bool, now: datetime) -> CheckResult:
    if has_late_events:
        remedy = "Look at the log of the worker. If it has too much to do, start another `flask worker`."
        return failing("queue", "Events have waited for more than 30 s.", remedy)
    if not waiting or waits_since is None:
        return ok("queue", "No call is waiting.")
    calls = "1 call is waiting" if waiting == 1 else f"{waiting} calls are waiting"
    return ok("queue", f"{calls}, the longest for {_whole_seconds(waits_since, now)} s.")


def judge_admin(*, has_admin: bool, owner_may_sign_in: bool, is_development: bool) -> CheckResult:
    if has_admin:
        return ok("admin", "An active admin account exists.")
    create = "Create an account for each person: `flask accounts create --role admin`."
    if not owner_may_sign_in:
        return failing("admin", "Nobody can administer this service: there is no active admin account.", create)
    measure = "There is no admin account; the built-in owner signs in with DASHBOARD_PASSWORD."
    return ok("admin", measure) if is_development else warning("admin", measure, create)


def judge_provider(name: str, *, is_simulated: bool, is_development: bool) -> CheckResult:
    if not is_simulated:
        return ok("calls", f"{name.capitalize()}: real phones, real money.")
    measure = "The simulator: no phone rings. Its phone is the page /simulator."
    if is_development:
        return ok("calls", measure)
    remedy = "To call real phones, set TELEPHONY_PROVIDER and the settings of the provider."
    return warning("calls", measure, remedy)


def judge_account(report: AccountReport | None) -> tuple[CheckResult, CheckResult]:
    """The results `credentials` and `connection`."""
    if report is None:
        sentence = "The simulator needs no account."
        return off("credentials", sentence), off("connection", sentence)
    credentials = _judge_finding("credentials", report.credentials)
    if report.connection is None:
        sentence = "Not known while the credentials are refused."
        return credentials, failing("connection", sentence, report.credentials.remedy)
    return credentials, _judge_finding("connection", report.connection)


def judge_clock(name: str, theirs: datetime, ours: datetime) -> CheckResult:
    """`name` is `clock` (the database's) or `provider_clock`."""
    offset_seconds = (theirs - ours).total_seconds()
    size = abs(offset_seconds)
    if size <= TOLERATED_CLOCK_SECONDS:
        # The time in an HTTP header has no fractions.
        return ok(name, f"Less than {max(1, int(size) + 1)} s apart from ours.")
    measure = f"{size:.0f} s {'ahead of' if offset_seconds > 0 else 'behind'} ours."
    remedy = "Let NTP set the clocks of all machines: codes would expire too early or too late."
    judge = failing if size > FATAL_CLOCK_SECONDS else warning
    return judge(name, measure, remedy)


def _judge_finding(name: str, finding: Finding) -> CheckResult:
    return ok(name, finding.measure) if finding.is_well else failing(name, finding.measure, finding.remedy)


def _whole_seconds(time: datetime, now: datetime) -> int:
    # The clocks of several machines differ.
    return max(0, int((now - time).total_seconds()))
