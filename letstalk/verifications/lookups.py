"""Which verification a request speaks of."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from letstalk.core.actors import Actor
from letstalk.core.errors import NoPendingVerification
from letstalk.telephony.phone_numbers import parse_phone
from letstalk.verifications import repository as storage
from letstalk.verifications.models import LOOKUP_WINDOW, Verification


@dataclass(frozen=True, slots=True)
class Target:
    """A verification by its id, or a phone (written as E.164) whose newest is meant: exactly one of them."""

    phone: str | None
    verification_id: str | None


def canonical_id(text: str) -> str | None:
    """A UUID as we write it, None for what is none."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


def hold_verification(connection: Connection, verification_id: str) -> Verification:
    """The verification as it stands now, held until the transaction ends.

    Raises NoPendingVerification for one that was erased since it was found.
    """
    held = storage.lock_verification(connection, verification_id)
    if held is None:
        raise NoPendingVerification("No verification waits for a code here.")
    return held


def locate_verification(connection: Connection, actor: Actor, target: Target, now: datetime) -> Verification:
    """The actor's verification that `target` names, whatever its status.

    Raises NoPendingVerification; InvalidPhone where the target's phone is no number.
    """
    if target.phone is not None:
        e164 = parse_phone(target.phone).e164  # `+44 0…` is written as E.164, and is another number than it says
        found = storage.find_newest(connection, actor.user_id, e164)
        if found is not None and found.created_at <= now - LOOKUP_WINDOW:
            found = None
    else:
        verification_id = canonical_id(target.verification_id or "")
        found = (verification_id and storage.find_verification(connection, actor.user_id, verification_id)) or None
    if found is None:
        raise NoPendingVerification("No verification waits for a code here.")
    return found
