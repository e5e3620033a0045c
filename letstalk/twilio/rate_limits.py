"""The rate limits of a service: an app names what a request is for, such as an address, and here it is counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial

from sqlalchemy import Connection

from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import InvalidRequest, NotFound, TooManyRequests
from letstalk.core.ids import new_id
from letstalk.core.pagination import cut_page, decode_id_cursor
from letstalk.db.database import Database, delete_in_batches, delete_oldest
from letstalk.twilio import repository
from letstalk.twilio.models import (
    MAX_BUCKETS,
    MAX_RATE_LIMITS,
    Bucket,
    RateLimit,
    Sid,
    VerifyService,
    check_bucket,
    check_unique_name,
)
from letstalk.twilio.repository import twilio_bucket_counts, twilio_buckets, twilio_rate_limits
from letstalk.twilio.service import find_service

Digest = Callable[[str, str], str]  # a keyed digest of a text, for a purpose


class RateLimitService:
    def __init__(self, db: Database, audit: AuditTrail, clock: Clock, digest: Digest) -> None:
        self._db = db
        self._audit = audit
        self._clock = clock
        self._digest = digest

    def create_rate_limit(self, actor: Actor, service_sid: str, unique_name: str, description: str | None) -> RateLimit:
        """Raises NotFound, InvalidRequest (60207 for one too many, 60208 for a name that is taken, 60209)."""
        check_unique_name(unique_name)
        with self._db.write() as connection:
            now = self._clock()
            service = self._lock(connection, actor, service_sid)
            known = repository.list_rate_limits(connection, service.service_id)
            if len(known) >= MAX_RATE_LIMITS:
                raise InvalidRequest(f"A service has at most {MAX_RATE_LIMITS} rate limits.", code="60207")
            if unique_name in [each.unique_name for each in known]:
                raise InvalidRequest("Choose another UniqueName.", code="60208")
            limit = RateLimit(new_id(now), service.service_id, unique_name, description, now, now)
            repository.insert_row(connection, twilio_rate_limits, limit)
            self._record(connection, actor, "verify_rate_limit.created", limit)
        return limit

    def list_rate_limits(
        self, actor: Actor, service_sid: str, *, limit: int, cursor: str | None
    ) -> tuple[list[RateLimit], str | None]:
        """Newest first, and the cursor of the next page. Raises NotFound, InvalidRequest."""
        after = decode_id_cursor(cursor)
        with self._db.read() as connection:
            service = find_service(connection, actor, service_sid)
            found = repository.list_rate_limits(connection, service.service_id, after=after, limit=limit + 1)
        return cut_page(found, limit, lambda rate_limit: rate_limit.rate_limit_id)

    def get_rate_limit(self, actor: Actor, service_sid: str, sid: str) -> RateLimit:
        """By its id or its unique name. Raises NotFound."""
        with self._db.read() as connection:
            return _find(connection, find_service(connection, actor, service_sid), sid)

    def update_rate_limit(self, actor: Actor, service_sid: str, sid: str, description: str | None) -> RateLimit:
        """Another description; None leaves it as it is. Raises NotFound."""
        with self._db.write() as connection:
            limit = _find(connection, self._lock(connection, actor, service_sid), sid)
            if description is not None and description != limit.description:
                limit = replace(limit, description=description, updated_at=self._clock())
                repository.update_row(connection, twilio_rate_limits, limit)
                self._record(connection, actor, "verify_rate_limit.updated", limit)
        return limit

    def delete_rate_limit(self, actor: Actor, service_sid: str, sid: str) -> None:
        """Delete it with its buckets. Raises NotFound."""
        with self._db.write() as connection:
            limit = _find(connection, self._lock(connection, actor, service_sid), sid)
            repository.delete_rate_limit(connection, limit.rate_limit_id)
            self._record(connection, actor, "verify_rate_limit.deleted", limit)

    def create_bucket(
        self, actor: Actor, service_sid: str, limit_sid: str, max_requests: int, interval_seconds: int
    ) -> Bucket:
        """Raises NotFound, InvalidRequest (60210 for one too many, 60211 for an interval that is taken)."""
        check_bucket(max_requests, interval_seconds)
        with self._db.write() as connection:
            now = self._clock()
            limit = _find(connection, self._lock(connection, actor, service_sid), limit_sid)
            known = repository.list_buckets(connection, limit.rate_limit_id)
            if len(known) >= MAX_BUCKETS:
                raise InvalidRequest(f"A rate limit has at most {MAX_BUCKETS} buckets.", code="60210")
            _ensure_free(known, interval_seconds)
            bucket = Bucket(new_id(now), limit.rate_limit_id, max_requests, interval_seconds, now, now)
            repository.insert_row(connection, twilio_buckets, bucket)
            self._record(connection, actor, "verify_rate_limit.updated", limit, bucket)
        return bucket

    def list_buckets(
        self, actor: Actor, service_sid: str, limit_sid: str, *, limit: int, cursor: str | None
    ) -> tuple[list[Bucket], str | None]:
        """Newest first, and the cursor of the next page. Raises NotFound, InvalidRequest."""
        after = decode_id_cursor(cursor)
        with self._db.read() as connection:
            of = _find(connection, find_service(connection, actor, service_sid), limit_sid)
            found = repository.list_buckets(connection, of.rate_limit_id, after=after, limit=limit + 1)
        return cut_page(found, limit, lambda bucket: bucket.bucket_id)

    def get_bucket(self, actor: Actor, service_sid: str, limit_sid: str, sid: str) -> Bucket:
        """Raises NotFound."""
        with self._db.read() as connection:
            limit = _find(connection, find_service(connection, actor, service_sid), limit_sid)
            return _find_bucket(connection, limit, sid)

    def update_bucket(
        self,
        actor: Actor,
        service_sid: str,
        limit_sid: str,
        sid: str,
        max_requests: int | None,
        interval_seconds: int | None,
    ) -> Bucket:
        """None leaves a figure as it is. Raises NotFound, InvalidRequest."""
        with self._db.write() as connection:
            limit = _find(connection, self._lock(connection, actor, service_sid), limit_sid)
            old = _find_bucket(connection, limit, sid)
            most = old.max_requests if max_requests is None else max_requests
            interval = old.interval_seconds if interval_seconds is None else interval_seconds
            check_bucket(most, interval)
            others = [each for each in repository.list_buckets(connection, limit.rate_limit_id) if each != old]
            _ensure_free(others, interval)
            new = replace(old, max_requests=most, interval_seconds=interval)
            if new != old:
                new = replace(new, updated_at=self._clock())
                repository.update_row(connection, twilio_buckets, new)
                self._record(connection, actor, "verify_rate_limit.updated", limit, new)
        return new

    def delete_bucket(self, actor: Actor, service_sid: str, limit_sid: str, sid: str) -> None:
        """Raises NotFound."""
        with self._db.write() as connection:
            limit = _find(connection, self._lock(connection, actor, service_sid), limit_sid)
            bucket = _find_bucket(connection, limit, sid)
            repository.delete_bucket(connection, bucket.bucket_id)
            self._record(connection, actor, "verify_rate_limit.updated", limit, bucket)

    def count_request(self, service: VerifyService, values: Mapping[str, str]) -> None:
        """Count one request by the value of each rate limit that it names.

        A request over a limit is counted nowhere. Raises TooManyRequests; InvalidRequest for a name that the service
        does not have, because a misspelled one would limit nothing.
        """
        if not values:
            return
        with self._db.write() as connection:
            now = self._clock()
            counted: list[tuple[Bucket, str]] = []
            for name, value in sorted(values.items()):
                limit = repository.find_rate_limit_of_name(connection, service.service_id, name)
                if limit is None:
                    raise InvalidRequest.in_field("RateLimits", "This service has no rate limit of that UniqueName.")
                digest = self._digest("rate limits", f"{limit.rate_limit_id}\0{value}")
                self._db.lock(connection, "twilio rate limit", digest)
                counted += [(each, digest) for each in repository.list_buckets(connection, limit.rate_limit_id)]
            for bucket, digest in counted:
                requests, ends_at = repository.find_count(connection, bucket.bucket_id, digest) or (0, now)
                if ends_at <= now:
                    requests, ends_at = 0, now + timedelta(seconds=bucket.interval_seconds)
                if requests >= bucket.max_requests:
                    raise TooManyRequests(
                        "A rate limit of this service is reached. Wait before asking again.",
                        retry_after_seconds=max(1, math.ceil((ends_at - now).total_seconds())),
                    )
                repository.write_count(connection, bucket.bucket_id, digest, requests + 1, ends_at)

    def forget_old(self) -> None:
        """Every minute: delete the counts of windows that have ended."""
        ended = partial(delete_oldest, age=twilio_bucket_counts.c.ends_at, before=self._clock())
        delete_in_batches(self._db, ended)

    def _lock(self, connection: Connection, actor: Actor, service_sid: str) -> VerifyService:
        self._db.lock(connection, "twilio services", actor.owner_id)
        return find_service(connection, actor, service_sid)

    def _record(
        self, connection: Connection, actor: Actor, action: str, limit: RateLimit, bucket: Bucket | None = None
    ) -> None:
        detail: dict[str, str | int] = {
            "service_sid": Sid.SERVICE.of(limit.service_id),
            "rate_limit_sid": Sid.RATE_LIMIT.of(limit.rate_limit_id),
            "unique_name": limit.unique_name,
        }
        if bucket is not None:
            detail |= {"bucket_sid": Sid.BUCKET.of(bucket.bucket_id), "max": bucket.max_requests}
            detail |= {"interval": bucket.interval_seconds}
        self._audit.record(connection, actor, action, owner_id=actor.owner_id, detail=detail)


def _find(connection: Connection, service: VerifyService, sid: str) -> RateLimit:
    """By its id or its unique name."""
    known_id = Sid.RATE_LIMIT.read(sid)
    if known_id is None:
        found = repository.find_rate_limit_of_name(connection, service.service_id, sid)
    else:
        found = repository.find_rate_limit(connection, service.service_id, known_id)
    if found is None:
        raise NotFound("There is no such rate limit.")
    return found


def _find_bucket(connection: Connection, limit: RateLimit, sid: str) -> Bucket:
    known_id = Sid.BUCKET.read(sid)
    found = None if known_id is None else repository.find_bucket(connection, limit.rate_limit_id, known_id)
    if found is None:
        raise NotFound("There is no such bucket.")
    return found


def _ensure_free(buckets: list[Bucket], interval_seconds: int) -> None:
    if interval_seconds in [each.interval_seconds for each in buckets]:
        raise InvalidRequest("Choose another Interval.", code="60211")
