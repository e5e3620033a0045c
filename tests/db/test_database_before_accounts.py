"""A database from before there were accounts is brought up to date, and its tokens go on working."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from letstalk.core.clock import utc_now
from letstalk.core.secret_files import make_encryption_key
from letstalk.db import migrations
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.tokens.models import Token, generate_token
from tests.support.account_services import a_person
from tests.support.apps import make_app


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        f"sqlite:///{tmp_path}/letstalk.db" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    )


def test_it_migrates_with_its_tokens_and_audit_trail(tmp_path: Path, url: str) -> None:
    key = make_encryption_key()
    secret, now = generate_token(), utc_now()
    token = Token(
        token_id=str(uuid4()),
        lookup_id=secret.lookup_id,
        owner_id="letstalk",  # as an installation may well have named its one owner
        name=None,
        scopes=("read", "write"),
        allowed_ips=(),
        rate_limit=None,
        created_at=now - timedelta(days=1),
        expires_at=None,
    )
    db = Database(url)
    migrations.upgrade(db)
    migrations.downgrade(db, "0003")
    with db.write() as connection:
        row = {
            "token_id": token.token_id,
            "lookup_id": token.lookup_id,
            "secret_hash_encrypted": Vault((key,)).encrypt(secret.secret_hash),
            "user_id": token.owner_id,
            "scopes": json.dumps(token.scopes),
            "allowed_ips": json.dumps(token.allowed_ips),
            "created_at": token.created_at.replace(tzinfo=None).isoformat(sep=" ")
            if db.is_sqlite
            else token.created_at,
        }
        connection.execute(
            text(f"INSERT INTO tokens ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})"),  # noqa: S608
            row,
        )
        connection.execute(
            text("INSERT INTO audit_events (event_id, at, action, detail) VALUES ('e', :at, 'token.created', '{}')"),
            {"at": now.isoformat(sep=" ") if db.is_sqlite else now},
        )
        assert migrations.current_revision(connection) == "0003"
    db.close()

    app = make_app(tmp_path, DATABASE_URL=url, ENCRYPTION_KEYS=key)
    client = app.test_client()
    headers = {"Authorization": f"Bearer {secret.token}"}
    answer = client.post("/calls/otp", json={"phone": "+256700123456"}, headers=headers)
    assert answer.status_code == 202, answer.text
    shown = client.get("/api/tokens/current", headers=headers).get_json()
    assert (shown["token_id"], shown["user_id"]) == (token.token_id, "letstalk")
    person = a_person(app, owner_ids=("letstalk",))
    listed = person.get("/calls").get_json()["verifications"]
    assert [each["verification_id"] for each in listed] == [answer.get_json()["verification_id"]]
    with app.extensions["letstalk_db"].read() as connection:
        kept = connection.execute(text("SELECT action, account_id FROM audit_events WHERE event_id = 'e'")).one()
    assert tuple(kept) == ("token.created", None)
    app.extensions["letstalk_db"].close()
