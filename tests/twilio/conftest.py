"""One served application for all tests with Twilio's SDKs, and Twilio's description of what it must answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.npm_packages import installed_modules
from tests.support.services import needed
from tests.twilio.served import ServedVerify, serving
from tests.twilio.specification import Specification

PACKAGES = Path(__file__).parents[1] / "support" / "twilio"


@pytest.fixture(scope="session")
def twilio_modules() -> Path:
    """npm's `twilio` and `@twilio/cli-core`."""
    modules: Path = needed("Twilio's packages, by npm", installed_modules(PACKAGES))
    return modules


@pytest.fixture(scope="package")
def specification(twilio_modules: Path) -> Specification:
    return Specification(twilio_modules)


@pytest.fixture(scope="package")
def verify(tmp_path_factory: pytest.TempPathFactory, specification: Specification) -> Iterator[ServedVerify]:
    """What is served here is judged by Twilio's description: see `all_answers_are_twilio_s`."""
    assert specification.document["info"]["title"] == "Twilio - Verify"
    with serving(tmp_path_factory.mktemp("verify"), BRAND_NAMES="Acme, Acme Bank") as served:
        yield served


@pytest.fixture(autouse=True)
def all_answers_are_twilio_s(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test with an SDK asks, Twilio could have answered."""
    if "verify" not in request.fixturenames:
        yield
        return
    served: ServedVerify = request.getfixturevalue("verify")
    judge: Specification = request.getfixturevalue("specification")
    served.answered.clear()
    yield
    assert served.answered
    for answered in served.answered:
        judge.ensure_valid(answered)
