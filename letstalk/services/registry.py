"""All services of one application, built once by the factory."""

from __future__ import annotations

from dataclasses import dataclass

from letstalk.services.audit import AuditTrail
from letstalk.services.commands import CommandService
from letstalk.services.digest_keys import DigestKeys
from letstalk.services.dispatch import DispatchService
from letstalk.services.events import EventService
from letstalk.services.health import HealthService
from letstalk.services.key_rotation import KeyRotation
from letstalk.services.people import People
from letstalk.services.privacy import PrivacyService
from letstalk.services.retention import RetentionService
from letstalk.services.sends import SendService
from letstalk.services.sessions import SessionService
from letstalk.services.sweeps import SweepService
from letstalk.services.tokens import TokenService
from letstalk.services.usage import UsageCounter
from letstalk.services.verifications import VerificationService


@dataclass(frozen=True, slots=True)
class Services:
    tokens: TokenService
    usage: UsageCounter
    audit: AuditTrail
    sends: SendService
    verifications: VerificationService
    dispatch: DispatchService
    commands: CommandService
    events: EventService
    sweeps: SweepService
    sessions: SessionService
    people: People
    health: HealthService
    retention: RetentionService
    privacy: PrivacyService
    key_rotation: KeyRotation
    keys: DigestKeys
