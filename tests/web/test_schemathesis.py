"""Thousands of requests made from the description: no 5xx but the 503s in it, and no answer that it does not describe.

All of Schemathesis's checks judge each answer: status, content type, headers and body as described, what is wrong
refused, what is right accepted, no answer without the credentials that are asked for, 405 with Allow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case, Response
from schemathesis.checks import CHECKS
from schemathesis.schemas import BaseSchema

from tests.apps import make_app
from tests.web.lived_in import LivedIn

SEED = 20261120
EXAMPLES = 120  # beside the written examples and the limits of every field, which Schemathesis adds

# How many requests each operation gets at least, and what it must have answered to some of them: a comparison of
# refusals alone would prove little.
MUST_MEET: dict[str, tuple[int, set[int]]] = {
    "send_otp": (200, {202, 400, 401, 403, 422, 429, 503}),
    "verify_code": (160, {200, 400, 401, 403, 404, 410}),
    "replay_otp": (160, {202, 400, 401, 403, 410, 422, 429}),
    "list_verifications": (180, {200, 400, 401, 403}),
    "get_verification": (130, {200, 401, 403, 404}),
    "cancel_verification": (130, {200, 401, 403, 404, 409}),
    "create_token": (200, {201, 400, 401, 403}),
    "list_tokens": (160, {200, 400, 401, 403}),
    "get_current_token": (120, {200, 401, 403}),
    "get_token": (130, {200, 401, 403, 404}),
    "update_token": (180, {200, 400, 401, 403, 404, 409}),
    "rotate_token": (140, {201, 400, 401, 403, 404, 409}),
    "revoke_token": (120, {200, 401, 403, 404}),
    "receive_telnyx_event": (130, {200, 400, 403}),
    "get_health": (8, {200}),
    "get_readiness": (8, {200, 503}),
    "get_metrics": (8, {200}),
    "get_description": (8, {200}),
    "browse_description": (8, {200}),
    "open_dashboard": (8, {302}),
    "log_in": (130, {200, 400, 401, 429}),
    "finish_second_factor": (130, {400, 401}),
    "refresh": (130, {200, 400, 401}),
    "log_out": (100, {200, 400, 401, 403}),
    "get_me": (8, {200}),
    "change_password": (130, {400, 401, 403}),
    "list_sessions": (8, {200}),
    "end_other_sessions": (8, {200}),
    "end_session": (100, {200, 401, 403, 404}),
    "list_accounts": (130, {200, 400, 401, 403}),
    "get_account": (100, {200, 401, 403, 404}),
    "update_account": (130, {200, 400, 401, 403, 404}),
    "delete_account": (100, {200, 401, 403, 404}),
    "list_roles": (8, {200}),
    "update_role": (100, {200, 400, 401, 403}),
    "register": (100, {400, 403}),
    "verify_email": (100, {400}),
    "resend_verification": (100, {400}),
    "ask_for_password": (100, {400}),
    "reset_password": (100, {400}),
    "invite": (100, {201, 400, 401, 403}),
    "get_invitation": (100, {400}),
    "accept_invitation": (100, {400}),
    "get_single_sign_on": (8, {200}),
    "start_single_sign_on": (8, {404}),
    "finish_single_sign_on": (8, {404}),
    "log_in_with_jwt": (100, {400}),
}

# What an operation may refuse although its schema is met: by a code, or in a field.
RULES: dict[str, set[str]] = {
    "send_otp": {"message", "locale"},
    "verify_code": {"invalid_code"},
    "receive_telnyx_event": {"invalid_request"},
    "change_password": {"weak_password"},
    "update_account": {"username", "email", "phone", "user_ids", "second_factor", "invalid_phone"},
    "register": {"username", "email", "weak_password"},
    "verify_email": {"invalid_link"},
    "resend_verification": {"email"},
    "ask_for_password": {"email"},
    "reset_password": {"invalid_link", "weak_password"},
    "invite": {"email", "user_ids"},
    "get_invitation": {"invalid_link"},
    "accept_invitation": {"invalid_link", "username", "weak_password"},
}


class _App:
    """Stands for the application while the cases are made; `behind` is the one that answers them."""

    behind: LivedIn | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        assert self.behind is not None
        return self.behind.app(environ, start_response)


def _load() -> tuple[BaseSchema, _App]:
    with TemporaryDirectory() as folder:
        document = make_app(Path(folder)).extensions["letstalk_openapi"]
    schema = schemathesis.openapi.from_dict(document, config=schemathesis.Config(seed=SEED))
    schema.app = app = _App()
    return schema, app


schema, app = _load()


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivedIn]:
    app.behind = LivedIn(tmp_path_factory.mktemp("described"))
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


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_described(case: Case[Any], lived_in: LivedIn, met: dict[str, Counter[int]]) -> None:
    operation = case.operation.definition.raw["operationId"]
    headers = lived_in.headers_for(operation)
    lived_in.prepare(operation, case)
    response = case.call(headers=headers)
    met.setdefault(operation, Counter())[response.status_code] += 1
    excluded: list[Any] = [CHECKS.get_one("positive_data_acceptance")] if is_by_a_rule(operation, response) else []
    if response.status_code == 503:  # whether it may be, and with which codes, the conformance checks know
        excluded.append(CHECKS.get_one("not_a_server_error"))
    if "X-Sign" in headers:  # signed beneath Schemathesis, which takes its own wrong signatures for accepted
        excluded.append(CHECKS.get_one("ignored_auth"))
    case.validate_response(response, headers=headers, excluded_checks=excluded)


def is_by_a_rule(operation: str, response: Response) -> bool:
    """Whether the refusal comes of a rule that no schema can state, so that the request need not have been wrong."""
    if response.status_code in (410, 422):
        return True
    if response.status_code != 400:
        return False
    body, rules = response.json(), RULES.get(operation, set())
    fields = {detail["field"] for detail in body.get("details", ())}
    return body["code"] in rules or (bool(fields) and fields <= rules)


def test_they_are_two_thousand_at_least() -> None:
    assert sum(least for least, _ in MUST_MEET.values()) >= 2_000
    assert len(MUST_MEET) == len(list(schema.get_all_operations()))
