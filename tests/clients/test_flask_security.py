"""Flask-Security in a Flask app: the second factor that it sends by SMS is said in a call."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from flask_security import Security, SQLAlchemySessionUserDatastore, hash_password
from flask_security.models import sqla as models
from sqlalchemy.orm import DeclarativeBase, scoped_session, sessionmaker

from letstalk_client.flask_security import use_calls
from tests.clients.conftest import Service

# Flask-Security's own forms are written for an older WTForms.
pytestmark = pytest.mark.filterwarnings("ignore:Passing SelectField choices as tuples:DeprecationWarning")

PASSWORD = "correct horse battery staple"


class Base(DeclarativeBase):
    pass


models.FsModels.set_db_info(base_model=Base)  # type: ignore[no-untyped-call] # as its documentation does


class Role(Base, models.FsRoleMixin):
    __tablename__ = "role"


class User(Base, models.FsUserMixin):
    __tablename__ = "user"


@pytest.fixture(scope="module")
def app(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    engine = sa.create_engine(f"sqlite:///{tmp_path_factory.mktemp('flask')}/site.db")
    Base.metadata.create_all(engine)
    session = scoped_session(sessionmaker(engine))
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="a secret for tests only, nothing else",
        SECURITY_PASSWORD_SALT="1",
        SECURITY_PASSWORD_HASH="plaintext",
        SECURITY_PASSWORD_SCHEMES=["plaintext"],
        SECURITY_TOTP_SECRETS={"1": "a secret for tests only, nothing else"},
        SECURITY_TOTP_ISSUER="Acme",
        SECURITY_TWO_FACTOR=True,
        SECURITY_TWO_FACTOR_REQUIRED=True,
        SECURITY_TWO_FACTOR_ENABLED_METHODS=["sms"],
        SECURITY_TWO_FACTOR_ALWAYS_VALIDATE=True,
        WTF_CSRF_ENABLED=False,
        LETSTALK_URL=service.url,
        LETSTALK_TOKEN=service.token,
    )
    use_calls(app)
    app.security = Security(app, SQLAlchemySessionUserDatastore(session, User, Role))  # type: ignore[attr-defined]
    app.teardown_appcontext(lambda _error: session.remove())
    yield app
    engine.dispose()


def make_user(app: Flask, name: str, phone: str) -> None:
    with app.app_context():
        security: Security = app.security  # type: ignore[attr-defined] # as Flask-Security's documentation does
        secret, store = security.totp_factory.generate_totp_secret(), security.datastore
        user = store.create_user(email=f"{name}@example.com", password=hash_password(PASSWORD))
        store.tf_set(user, "sms", totp_secret=secret, phone=phone)
        store.commit()  # type: ignore[no-untyped-call]


def sign_in(browser: FlaskClient, name: str) -> Any:
    return browser.post("/login", json={"email": f"{name}@example.com", "password": PASSWORD})


def test_the_second_factor_is_a_call(app: Flask, service: Service, caplog: pytest.LogCaptureFixture) -> None:
    make_user(app, "ann", "+12025550171")
    browser = app.test_client()
    assert sign_in(browser, "ann").get_json()["response"]["tf_state"] == "ready"
    code = service.heard_by("+12025550171")
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    assert browser.post("/tf-validate", json={"code": wrong}).status_code == 400
    assert browser.post("/tf-validate", json={"code": code}).status_code == 200
    assert code not in caplog.text


def test_a_refusal_is_said_on_the_page_and_its_reason_in_the_log(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    make_user(app, "bo", "+19005550172")
    caplog.set_level(logging.WARNING)
    answer = sign_in(app.test_client(), "bo")
    assert answer.status_code in (400, 500)
    assert "Failed to send code. Please try again later" in answer.text
    assert "403 destination_blocked, request" in caplog.text
    assert "5550172" not in caplog.text


def test_settings_that_are_wrong_are_found_at_the_start(service: Service) -> None:
    with pytest.raises(KeyError, match="LETSTALK_URL"):
        use_calls(Flask(__name__))
    app = Flask(__name__)
    app.config.update(LETSTALK_URL="calls.example.com", LETSTALK_TOKEN=service.token)
    with pytest.raises(ValueError, match="The URL must"):
        use_calls(app)
