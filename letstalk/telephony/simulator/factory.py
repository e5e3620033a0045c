"""Builds the simulator from the settings."""

from __future__ import annotations

from letstalk.config.settings import Settings
from letstalk.config.values import is_loopback
from letstalk.core.clock import Clock
from letstalk.telephony.provider import Telephony
from letstalk.telephony.simulator.provider import SimulatorProvider
from letstalk.telephony.simulator.terminal import print_speech


def build_simulator(settings: Settings, *, clock: Clock, state_key: bytes) -> Telephony:  # noqa: ARG001  # it signs nothing
    # The speech contains the code, so it is only shown on the developer's own terminal.
    is_own_terminal = settings.is_development and is_loopback(settings.host)
    provider = SimulatorProvider(
        speed=settings.simulator_speed, clock=clock, phone_speaker=print_speech if is_own_terminal else None
    )
    return Telephony(provider, webhooks=None)
