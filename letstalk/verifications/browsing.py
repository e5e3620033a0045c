"""Looking at verifications in the dashboard: the list, one with its story, and its phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from letstalk.audit.service import AuditTrail
from letstalk.calls import repository as calls
from letstalk.calls.models import CallStatus
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import NotFound
from letstalk.core.ids import canonical_id
from letstalk.db.database import Database
from letstalk.tokens import repository as tokens
from letstalk.tokens.models import Token
from letstalk.tokens.repository import TokenFilter
from letstalk.verifications import listing, wrong_codes
from letstalk.verifications.listing import Place, Wanted
from letstalk.verifications.models import Verification, VerificationHistory, VerificationStatus
from letstalk.verifications.outcomes import PROGRESS, Progress, Reason, reason_of
from letstalk.verifications.service import read_history
from letstalk.verifications.story import Facts, Story, tell_story

ROWS_PER_PAGE = 25
MOST_TOKENS = 100  # to choose from
MOST_EXPORTED = 10_000  # rows of one download
EXPORT_BATCH = 500
MOST_BATCHES = 120


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of the list. `token` is None where it is not known."""

    verification: Verification
    status: VerificationStatus
    reason: Reason
    last_call: CallStatus | None
    token: Token | None

    @property
    def progress(self) -> Progress | None:
        """What the last call has come to; None once the verification is over."""
        return PROGRESS[self.last_call] if self.status is VerificationStatus.PENDING else None

    @property
    def seconds(self) -> float | None:
        """From the request to the end. None while it is pending, and where the end was not noted."""
        ended_at = self.verification.ended_at
        return None if ended_at is None else max(0.0, (ended_at - self.verification.created_at).total_seconds())


@dataclass(frozen=True, slots=True)
class ListPage:
    """`rows`, newest first, and where the pages beside this one begin.

    `gave_up_at` is set where fewer rows were found than fit, and older ones were not looked at.
    """

    rows: tuple[Listed, ...]
    older: Place | None
    newer: Place | None
    gave_up_at: Place | None


@dataclass(frozen=True, slots=True)
class Told:
    """A verification with its story."""

    history: VerificationHistory
    story: Story
    token: Token | None

    @property
    def verification(self) -> Verification:
        return self.history.verification

    @property
    def progress(self) -> Progress | None:
        """What the last call has come to; None once the verification is over."""
        if self.history.status is not VerificationStatus.PENDING:
            return None
        return PROGRESS[self.history.calls[-1].call.status if self.history.calls else None]

    @property
    def is_settled(self) -> bool:
        """Whether nothing can happen any more."""
        is_over = self.history.status is not VerificationStatus.PENDING
        return is_over and not any(item.call.is_unfinished for item in self.history.calls)


class BrowsingService:
    def __init__(self, db: Database, audit: AuditTrail, clock: Clock) -> None:
        self._db = db
        self._audit = audit
        self._clock = clock

    def now(self) -> datetime:
        """The moment from which the spans of the filters count back."""
        return self._clock()

    def list_page(self, actor: Actor, wanted: Wanted, place: Place | None) -> ListPage:
        """The verifications of the owners that `actor` may see, among those of `wanted.owner_ids`."""
        now = self._clock()
        wanted = replace(wanted, owner_ids=_visible(actor, wanted.owner_ids))
        with self._db.read() as connection:
            found = listing.list_newest(connection, wanted, now, limit=ROWS_PER_PAGE + 1, place=place)
            has_more = len(found.rows) > ROWS_PER_PAGE
            is_newer = place is not None and place.is_newer
            shown = found.rows[:ROWS_PER_PAGE] if not is_newer else found.rows[-ROWS_PER_PAGE:]
            rows = self._describe(connection, shown, now)
        has_older, has_newer = (True, has_more) if is_newer else (has_more, place is not None)
        return ListPage(
            rows,
            older=_place_of(shown[-1], is_newer=False) if shown and has_older else None,
            newer=_place_of(shown[0], is_newer=True) if shown and has_newer else None,
            gave_up_at=found.gave_up_at,
        )

    def export(self, actor: Actor, wanted: Wanted) -> Iterator[Listed]:
        """The newest MOST_EXPORTED of the verifications that `list_page` leads to, read in batches while they are
        consumed. Where few match, no more than the newest MOST_BATCHES times `listing.MOST_CANDIDATES` are looked at.
        """
        now = self._clock()
        wanted = replace(wanted, owner_ids=_visible(actor, wanted.owner_ids))
        place: Place | None = None
        left = MOST_EXPORTED
        for _ in range(MOST_BATCHES):
            limit = min(EXPORT_BATCH, left)
            with self._db.read() as connection:
                found = listing.list_newest(connection, wanted, now, limit=limit, place=place)
                rows = self._describe(connection, found.rows, now)
            yield from rows
            left -= len(rows)
            place = found.gave_up_at
            if place is None and len(rows) == limit:
                place = _place_of(found.rows[-1], is_newer=False)
            if place is None or not left:
                return

    def list_tokens(self, actor: Actor) -> list[Token]:
        """The newest tokens by which the actor can filter, newest first, also revoked ones."""
        wanted = TokenFilter(owner_ids=actor.visible_owners)
        with self._db.read() as connection:
            return tokens.list_tokens(connection, wanted, limit=MOST_TOKENS, before=None)

    def tell(self, actor: Actor, any_id: str) -> Told:
        """The verification with that id, or that of the call with that id. Raises NotFound."""
        now = self._clock()
        with self._db.read() as connection:
            verification = self._find(connection, actor, any_id)
            history = read_history(connection, verification, now)
            of_phone = (verification.owner_id, verification.phone, verification.verification_id)
            wrong_codes_at = wrong_codes.list_of_verification(connection, *of_phone)
            token = None if verification.token_id is None else tokens.get_token(connection, verification.token_id)
            is_superseded = history.status is VerificationStatus.SUPERSEDED
            successor_id = listing.find_successor(connection, verification) if is_superseded else None
        requested_by = None if token is None else f"the token {name_of(token)}"
        facts = Facts(history, requested_by, wrong_codes_at, successor_id)
        return Told(history, tell_story(facts), token)

    def show_phone(self, actor: Actor, verification_id: str) -> str:
        """The whole phone of a verification; that it was shown is in the audit trail. Raises NotFound."""
        with self._db.write() as connection:
            verification = self._find(connection, actor, verification_id)
            detail = {"verification_id": verification.verification_id}
            self._audit.record(connection, actor, "phone.shown", owner_id=verification.owner_id, detail=detail)
        return verification.e164

    def owner_of(self, actor: Actor, verification_id: str) -> str:
        """Raises NotFound."""
        with self._db.read() as connection:
            return self._find(connection, actor, verification_id).owner_id

    def _find(self, connection: Connection, actor: Actor, any_id: str) -> Verification:
        known_id = canonical_id(any_id)
        found = None if known_id is None else listing.find_one(connection, known_id)
        if found is None and known_id is not None:
            call = calls.find_call(connection, known_id)
            found = None if call is None else listing.find_one(connection, call.subject_id)
        if found is None or not actor.reaches(found.owner_id):
            raise NotFound("There is no such verification.")
        return found

    def _describe(self, connection: Connection, found: tuple[Verification, ...], now: datetime) -> tuple[Listed, ...]:
        last_calls = calls.list_last_statuses(connection, [one.verification_id for one in found])
        known = tokens.list_by_id(connection, {one.token_id for one in found if one.token_id is not None})
        rows = []
        for one in found:
            status, last_call = one.status_at(now), last_calls.get(one.verification_id)
            token = None if one.token_id is None else known.get(one.token_id)
            rows.append(Listed(one, status, reason_of(status, last_call), last_call, token))
        return tuple(rows)


def name_of(token: Token) -> str:
    """The token's name in quotes, or its public start."""
    return f"“{token.name}”" if token.name else f"{token.prefix}…"


def _visible(actor: Actor, wanted: frozenset[str] | None) -> frozenset[str] | None:
    visible = actor.visible_owners
    if visible is None or wanted is None:
        return wanted if visible is None else visible
    return visible & wanted


def _place_of(verification: Verification, *, is_newer: bool) -> Place:
    return Place(verification.created_at, verification.verification_id, is_newer)
