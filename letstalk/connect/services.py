"""The services about connections, as the wiring builds them."""

from __future__ import annotations

from dataclasses import dataclass

from letstalk.connect.receiving import HookService
from letstalk.connect.service import ConnectionService


@dataclass(frozen=True, slots=True)
class Connections:
    service: ConnectionService
    hooks: HookService
