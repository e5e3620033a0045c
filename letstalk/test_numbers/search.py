"""Finding test numbers for the dashboard's search: by id or phone."""

from __future__ import annotations

from collections.abc import Sequence

from letstalk.core.actors import Actor
from letstalk.core.scopes import Scope
from letstalk.core.search import Hit
from letstalk.test_numbers.service import TestNumberService


def find_test_numbers(service: TestNumberService, actor: Actor, text: str) -> Sequence[Hit]:
    if not actor.holds(Scope.TEST_NUMBERS_WRITE):
        return ()
    return [
        Hit("Test numbers", number.e164, number.owner_id, f"/dashboard/test-numbers/{number.test_number_id}")
        for number in service.find_named(actor, text)
    ]
