"""Thousands of requests made from the description: no 5xx but the 503s in it, and no answer that it does not describe.

All of Schemathesis's checks judge each answer: status, content type, headers and body as described, what is wrong
refused, what is right accepted, no answer without the credentials that are asked for, 405 with Allow.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.schemas import BaseSchema

from tests.support.apps import make_app
from tests.support.described import MUST_MEET, SEED, judge
from tests.support.seeded_app import LivedIn, live_in

# Beside the written examples and the limits of every field, which Schemathesis adds.
EXAMPLES = 120
FEWER_EXAMPLES = 40  # of what developers do now and then, and of people, whose passwords cost a tenth of a second
NOT_OF_EACH_CALL = "^/api/(auth|accounts|events|webhook-endpoints|connections|test-numbers)"


class _App:
    """Stands for the application while the cases are made; `behind` is the one that answers them."""

    behind: LivedIn | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        assert self.behind is not None
        return self.behind.app(environ, start_response)


def _load() -> tuple[BaseSchema, _App]:
    with TemporaryDirectory() as folder:
        document = json.loads(make_app(Path(folder)).extensions["letstalk_openapi"]())
    schema = schemathesis.openapi.from_dict(document, config=schemathesis.Config(seed=SEED))
    schema.app = app = _App()
    return schema, app


schema, app = _load()


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivedIn]:
    app.behind = live_in(tmp_path_factory.mktemp("described"))
    yield app.behind
    app.behind = None


@pytest.fixture
def met() -> Iterator[dict[str, Counter[int]]]:
    """How often which status was answered, by operation; at the end it must have been enough."""
    counts: dict[str, Counter[int]] = {}
    yield counts
    for operation, statuses in counts.items():
        least, must_meet = MUST_MEET[operation]
        assert statuses.total() >= least, (operation, statuses)
        assert must_meet <= set(statuses), (operation, statuses)


USUAL = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@schema.exclude(path_regex=NOT_OF_EACH_CALL).parametrize()
@settings(USUAL, max_examples=EXAMPLES)
def test_every_answer_is_described(case: Case[Any], lived_in: LivedIn, met: dict[str, Counter[int]]) -> None:
    _ask(case, lived_in, met)


@schema.include(path_regex=NOT_OF_EACH_CALL).parametrize()
@settings(USUAL, max_examples=FEWER_EXAMPLES)
def test_every_answer_about_people_and_webhooks_is_described(
    case: Case[Any], lived_in: LivedIn, met: dict[str, Counter[int]]
) -> None:
    _ask(case, lived_in, met)


def _ask(case: Case[Any], lived_in: LivedIn, met: dict[str, Counter[int]]) -> None:
    operation = case.operation.definition.raw["operationId"]
    headers = lived_in.headers_for(operation)
    means_to_be_right = lived_in.prepare(operation, case)
    response = case.call(headers=headers)
    met.setdefault(operation, Counter())[response.status_code] += 1
    judge(operation, case, response, headers, means_to_be_right=means_to_be_right)


def test_they_are_two_thousand_at_least() -> None:
    assert sum(least for least, _ in MUST_MEET.values()) >= 2_000
    assert len(MUST_MEET) == len(list(schema.get_all_operations()))
