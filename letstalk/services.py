"""All services of one application, built by `wiring`."""

from __future__ import annotations

from dataclasses import dataclass

from letstalk.accounts.owner_sessions import OwnerSessionService
from letstalk.accounts.services import Accounts
from letstalk.audit.search import AuditSearch
from letstalk.audit.service import AuditTrail
from letstalk.calls.commands import CommandService
from letstalk.calls.dispatcher import DispatchService
from letstalk.calls.events import EventService
from letstalk.calls.sweeper import SweepService
from letstalk.connect.receiving import Connections
from letstalk.events.services import AppEvents
from letstalk.operations.health import HealthService
from letstalk.operations.inspection import InspectionService
from letstalk.operations.key_rotation import KeyRotation
from letstalk.operations.privacy import PrivacyService
from letstalk.operations.public_address import PublicAddress
from letstalk.operations.retention import RetentionService
from letstalk.speaking.service import SpeakService
from letstalk.sso.service import SingleSignOn
from letstalk.statistics.attention import OwnAttention
from letstalk.statistics.rollups import RollupService
from letstalk.statistics.service import StatisticsService
from letstalk.telephony.simulator.phone import SimulatedPhone
from letstalk.test_numbers.service import TestNumberService
from letstalk.tokens.app_events import ExpiryNotices
from letstalk.tokens.owners import OwnerDirectory
from letstalk.tokens.service import TokenService
from letstalk.tokens.usage import UsageCounter
from letstalk.twilio.services import TwilioVerify
from letstalk.verifications.browsing import BrowsingService
from letstalk.verifications.codes import DigestKeys
from letstalk.verifications.destinations import DestinationLimits
from letstalk.verifications.search import VerificationSearch
from letstalk.verifications.sends import SendService
from letstalk.verifications.service import VerificationService
from letstalk.verifications.trials import TrialService


@dataclass(frozen=True, slots=True)
class Services:
    tokens: TokenService
    usage: UsageCounter
    expiry_notices: ExpiryNotices
    test_numbers: TestNumberService
    audit: AuditTrail
    audit_search: AuditSearch
    owners: OwnerDirectory
    sends: SendService
    speaking: SpeakService
    verifications: VerificationService
    browsing: BrowsingService
    twilio: TwilioVerify
    verification_search: VerificationSearch
    trials: TrialService
    destinations: DestinationLimits
    dispatch: DispatchService
    commands: CommandService
    events: EventService
    app_events: AppEvents
    connections: Connections
    sweeps: SweepService
    owner_sessions: OwnerSessionService
    accounts: Accounts
    single_sign_on: SingleSignOn
    statistics: StatisticsService
    attention: OwnAttention
    rollups: RollupService
    health: HealthService
    inspections: InspectionService
    address: PublicAddress
    retention: RetentionService
    privacy: PrivacyService
    key_rotation: KeyRotation
    keys: DigestKeys
    phone: SimulatedPhone | None  # None with a provider that calls real phones
