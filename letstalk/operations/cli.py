"""The commands for operators: `flask db`, `doctor`, `keys`, `privacy` and `worker`."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from letstalk.core.errors import LetsTalkError
from letstalk.core.secret_files import make_encryption_key
from letstalk.db import migrations
from letstalk.db.crypto import LostKey
from letstalk.db.database import Database
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import MetricsServer
from letstalk.observability.terminal import escape_controls, escape_json, print_line
from letstalk.operations import backups
from letstalk.operations.health import HealthService
from letstalk.operations.inspection import InspectionService
from letstalk.operations.key_rotation import KeyRotation
from letstalk.operations.privacy import PrivacyService
from letstalk.worker.background_work import BackgroundWork

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CommandServices:
    """What the commands use. `rotate_signing_keys` returns the id of the new key. `metrics_address` is where the worker
    serves its metrics, if anywhere.
    """

    db: Database
    health: HealthService
    inspections: InspectionService
    key_rotation: KeyRotation
    privacy: PrivacyService
    rotate_signing_keys: Callable[[], str]
    background_work: BackgroundWork
    metrics_address: tuple[str, int] | None


Find = Callable[[], CommandServices]
"""Returns the services, and builds the whole application for them. `keys generate` never calls it."""


def make_commands(find: Find) -> tuple[click.Command, ...]:
    return (_make_db(find), _make_doctor(find), _make_keys(find), _make_privacy(find), _make_worker(find))


@contextmanager
def _failure_as_message() -> Iterator[None]:
    try:
        yield
    except (backups.BackupFailed, LostKey, LetsTalkError) as error:
        raise click.ClickException(escape_controls(str(error))) from None


def _make_db(find: Find) -> click.Group:
    @click.group()
    def db() -> None:
        """Migrate, back up and restore the database. Each start migrates too."""

    @db.command()
    def upgrade() -> None:
        """Apply the missing migrations."""
        migrations.upgrade(find().db)
        print_line(f"The database is at {migrations.HEAD}.")

    @db.command()
    def current() -> None:
        """Show the migration of the database, and the one that this version requires."""
        with find().db.read() as connection:
            found = migrations.current_revision(connection)
        print_line(f"database: {found or 'none'}, expected: {migrations.HEAD}")

    @db.command()
    @click.argument("path", type=click.Path(path_type=Path))
    def backup(path: Path) -> None:
        """Write a consistent copy to PATH while the service runs. ENCRYPTION_KEYS are not in it: keep them too."""
        with _failure_as_message():
            backups.back_up(find().db, path)
        print_line(f"Wrote {path}.")

    @db.command()
    @click.argument("path", type=click.Path(path_type=Path))
    @click.confirmation_option(prompt="This replaces the whole database. Has every server and worker been stopped?")
    def restore(path: Path) -> None:
        """Replace the database with the copy at PATH."""
        services = find()
        with _failure_as_message():
            backups.restore(services.db, path)
            migrations.upgrade(services.db)
        print_line(f"Restored {path}.")
        lost = services.key_rotation.check_keys()
        if lost is not None:
            raise click.ClickException(f"{lost}: nothing starts without it")

    return db


def _make_doctor(find: Find) -> click.Command:
    @click.command()
    def doctor() -> None:
        """Check all that the service needs, as the page /dashboard/health does. Exits with 1 if something is wrong.

        It signs in to the mail server and to the provider, asks PUBLIC_URL for /health, and changes nothing.
        """
        found = find().inspections.inspect_thoroughly()
        for result in found.results:
            print_line(f"{result.state:<8} {result.name:<15} {result.measure}")
            if result.remedy:
                print_line(f"{'':<24} {result.remedy}")
        if not found.is_well:
            raise SystemExit(1)

    return doctor


def _make_keys(find: Find) -> click.Group:
    @click.group()
    def keys() -> None:
        """Create and rotate encryption keys."""

    @keys.command()
    def generate() -> None:
        """Print a new key for ENCRYPTION_KEYS."""
        print_line(make_encryption_key())

    @keys.command()
    def rotate() -> None:
        """Encrypt everything with the first of ENCRYPTION_KEYS, while the service runs.

        docs/operations.md has the steps: every instance must know the new key before one encrypts with it, and all must
        encrypt with it before the old key is removed.
        """
        with _failure_as_message():
            counts = find().key_rotation.rotate_keys()
        for name, count in counts.items():
            print_line(f"{name:<18} {count}")

    @keys.command("rotate-signing")
    def rotate_signing() -> None:
        """Sign access tokens with a new key, and print its id. Tokens signed before work until they expire."""
        print_line(find().rotate_signing_keys())

    return keys


def _make_privacy(find: Find) -> click.Group:
    @click.group()
    def privacy() -> None:
        """Show or erase what is stored about a phone."""

    @privacy.command()
    @click.argument("phone")
    def export(phone: str) -> None:
        """Print everything that is stored about PHONE, as JSON."""
        with _failure_as_message():
            found = find().privacy.export_phone(phone)
        click.echo(escape_json(json.dumps(found, indent=2, ensure_ascii=False)))

    @privacy.command()
    @click.argument("phone")
    @click.confirmation_option(prompt="This can't be undone. Erase it?")
    def erase(phone: str) -> None:
        """Delete everything that is stored about PHONE. Older backups keep it until they are deleted."""
        with _failure_as_message():
            count = find().privacy.erase_phone(phone)
        print_line(f"Erased {count} verifications.")

    return privacy


def _make_worker(find: Find) -> click.Command:
    @click.command()
    def worker() -> None:
        """Place calls and apply events until SIGTERM or Ctrl-C. WORKER_METRICS says where it serves GET /metrics."""
        services = find()
        if services.metrics_address is not None:
            try:
                MetricsServer(*services.metrics_address, services.health.metrics_page)
            except OSError as error:
                message = f"WORKER_METRICS requires an address that is free: {error.strerror}"
                raise click.ClickException(message) from None
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        services.background_work.start()
        log.info("worker_started")
        stopping.wait()
        services.background_work.stop()
        log.info("worker_stopped")

    return worker
