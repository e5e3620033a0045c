"""What needs attention about the installation: for admins, who can do something about it."""

from __future__ import annotations

from collections.abc import Sequence

from letstalk.core.actors import Actor
from letstalk.core.attention import Attention
from letstalk.operations.checks import CheckState
from letstalk.operations.health import HealthService


def list_health_problems(health: HealthService, actor: Actor) -> Sequence[Attention]:
    """Each check of this installation's own parts that fails now. Those of other services are on the Health page."""
    if not actor.is_admin:
        return ()
    return [
        Attention(result.measure, result.remedy, "Health", "/dashboard/health", is_urgent=True)
        for result in health.check().results
        if result.state is CheckState.FAILING
    ]
