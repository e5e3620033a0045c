"""All checks of an installation: one list for the page, `flask doctor` and the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from letstalk.core.clock import Clock
from letstalk.db.database import Database
from letstalk.mail.outbox import MailService
from letstalk.mail.transports import MailDelayed
from letstalk.operations.checks import (
    CheckResult,
    CheckState,
    failing,
    in_order,
    judge_account,
    judge_admin,
    judge_clock,
    judge_provider,
    off,
    ok,
)
from letstalk.operations.health import CallCounts, HealthService
from letstalk.operations.public_address import PublicAddress
from letstalk.operations.slow_checks import Job, SlowChecks
from letstalk.telephony.provider import CallProvider, CallRefused, ProviderError

FRESH_SECONDS = 60.0  # results of slow checks that are younger are shown again
PAGE_WAIT_SECONDS = 1.0
DOCTOR_WAIT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class InspectionOptions:
    provider_name: str
    is_simulated: bool
    is_development: bool
    owner_may_sign_in: bool


@dataclass(frozen=True, slots=True)
class Inspection:
    """`checked_at` is when the slow checks were started. `is_complete` is false while one of them is pending."""

    results: tuple[CheckResult, ...]
    checked_at: datetime
    is_complete: bool

    @property
    def is_well(self) -> bool:
        return all(result.state is not CheckState.FAILING for result in self.results)

    def of(self, name: str) -> CheckResult:
        return next(result for result in self.results if result.name == name)


@dataclass(frozen=True, slots=True)
class TrunkStatus:
    """What is known about the way to the phones."""

    provider: str
    is_simulated: bool
    calls: CallCounts
    credentials: CheckResult
    connection: CheckResult
    checked_at: datetime


class InspectionService:
    def __init__(
        self,
        db: Database,
        health: HealthService,
        provider: CallProvider,
        mails: MailService,
        address: PublicAddress,
        clock: Clock,
        options: InspectionOptions,
        *,
        has_admin: Callable[[], bool],
    ) -> None:
        self._db = db
        self._health = health
        self._provider = provider
        self._mails = mails
        self._address = address
        self._clock = clock
        self._options = options
        self._has_admin = has_admin
        self._slow = SlowChecks(self._jobs(), clock)

    def inspect(self, *, max_age_seconds: float = FRESH_SECONDS, wait_seconds: float = PAGE_WAIT_SECONDS) -> Inspection:
        """All results. For those of slow checks it waits for at most `wait_seconds`; see `SlowChecks.look`."""
        quick = (*self._health.check().results, self._check_admin(), self._check_provider())
        slow = self._slow.look(max_age_seconds=max_age_seconds, wait_seconds=wait_seconds)
        return Inspection(in_order((*quick, *slow.results)), slow.started_at, slow.is_complete)

    def inspect_thoroughly(self) -> Inspection:
        """All results, new ones. What does not answer within 15 s is failing."""
        found = self.inspect(max_age_seconds=0, wait_seconds=DOCTOR_WAIT_SECONDS)
        measure, remedy = f"No answer within {DOCTOR_WAIT_SECONDS:.0f} s.", "Try again, and look at the network."
        results = (
            failing(result.name, measure, remedy) if result.state is CheckState.PENDING else result
            for result in found.results
        )
        return replace(found, results=tuple(results))

    def find_trunk_status(self) -> TrunkStatus:
        slow = self._slow.look(max_age_seconds=FRESH_SECONDS, wait_seconds=PAGE_WAIT_SECONDS)
        by_name = {result.name: result for result in slow.results}
        return TrunkStatus(
            provider=self._options.provider_name,
            is_simulated=self._options.is_simulated,
            calls=self._health.count_calls(),
            credentials=by_name["credentials"],
            connection=by_name["connection"],
            checked_at=slow.started_at,
        )

    def _jobs(self) -> Mapping[tuple[str, ...], Job]:
        return {
            ("credentials", "connection", "provider_clock"): self._check_account,
            ("public_url",): lambda: (self._address.check(),),
            ("mail",): lambda: (self._check_mail(),),
            ("clock",): lambda: (self._check_database_clock(),),
        }

    def _check_admin(self) -> CheckResult:
        try:
            has_admin = self._has_admin()
        except SQLAlchemyError:
            return off("admin", "Not known without the database.")
        options = self._options
        return judge_admin(
            has_admin=has_admin, owner_may_sign_in=options.owner_may_sign_in, is_development=options.is_development
        )

    def _check_provider(self) -> CheckResult:
        options = self._options
        return judge_provider(
            options.provider_name, is_simulated=options.is_simulated, is_development=options.is_development
        )

    def _check_account(self) -> tuple[CheckResult, ...]:
        try:
            report = self._provider.check_account()
        except ProviderError as error:
            remedy = "Check the network of this machine, and the status page of the provider. Calls wait meanwhile."
            if isinstance(error, CallRefused):
                remedy = "Correct the settings of the provider."
            problems = (failing(name, error.reason, remedy) for name in ("credentials", "connection"))
            return *problems, off("provider_clock", "Not known without an answer.")
        if report is None:
            clock = off("provider_clock", "The simulator has the clock of this machine.")
        elif report.provider_time is None:
            clock = off("provider_clock", "The provider names no time.")
        else:
            clock = judge_clock("provider_clock", report.provider_time, self._clock())
        return *judge_account(report), clock

    def _check_mail(self) -> CheckResult:
        try:
            place = self._mails.check_transport()
        except MailDelayed as error:
            remedy = "Check SMTP_HOST, SMTP_PORT, SMTP_SECURITY, SMTP_USERNAME and SMTP_PASSWORD."
            return failing("mail", f"The mail server does not accept the connection ({error}).", remedy)
        if place is None:
            return off("mail", "Not set up: invitations are links to pass on, and nobody can reset a password.")
        return ok("mail", place)

    def _check_database_clock(self) -> CheckResult:
        if self._db.is_sqlite:
            return ok("clock", "SQLite has the clock of this machine.")
        with self._db.read() as connection:
            theirs: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
            return judge_clock("clock", theirs, self._clock())
