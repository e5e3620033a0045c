"""The accounts of the seeded application: who makes a request, and the data that it finds."""

from __future__ import annotations

from typing import Any

from flask import Flask

from letstalk.accounts.account_sessions import SignedIn
from letstalk.accounts.models import Account, Device
from tests.support.account_services import PASSWORD, someone
from tests.support.apps import services_of

Made = Any  # a case of Schemathesis, whose parts may be of any type

# Whose access token each operation is called with, by name; and those that an admin's API token may call as well.
OF_PEOPLE = frozenset(
    {
        *("log_out", "get_me", "change_password", "list_sessions", "end_other_sessions", "end_session"),
        *("call_own_phone", "verify_own_phone"),
    }
)
OF_ADMINS = frozenset(
    {"list_accounts", "get_account", "update_account", "delete_account", "list_roles", "update_role", "invite"}
)


class SeededAccounts:
    def __init__(self, app: Flask) -> None:
        self._accounts = services_of(app).accounts
        self._made = 0
        self.account = self.new_account()
        self._admin = self.new_account(role="admin")

    def new_account(self, *, role: str = "developer", password: str | None = None) -> Account:
        self._made += 1
        return self._accounts.service.create_account(someone(f"person-{self._made}", role, password=password))

    def sign_in(self, account: Account | None = None) -> SignedIn:
        """A new session each time: the one before may have been ended by a case."""
        who = (account or self.account).account_id
        return self._accounts.sessions.start_session(who, Device("127.0.0.1", "a case"), "password")

    def token_for(self, operation: str) -> str | None:
        """The access token to call `operation` with; None where people may not call it."""
        if operation in OF_PEOPLE:
            return self.sign_in().access_token
        return self.sign_in(self._admin).access_token if operation in OF_ADMINS else None

    def prepare(self, operation: str, case: Made, count: int) -> None:
        """Put real data into a case that is meant to be valid."""
        if operation == "refresh" and count % 2:
            case.body["refresh_token"] = self.sign_in().refresh_token
        elif operation == "log_in":  # some are meant to be valid; after four the throttle applies
            account = self.new_account(password=PASSWORD) if count <= 4 else self.account
            case.body |= {"username": account.username, "password": PASSWORD}
            case.body.pop("email", None)  # one of the two
        elif operation in ("get_account", "delete_account") or (operation == "update_account" and count % 2):
            case.path_parameters["account_id"] = self.new_account().account_id
        elif operation == "end_session":
            case.path_parameters["session_id"] = self.sign_in().session_id
        elif operation in ("list_accounts", "list_sessions") and "cursor" in case.query:
            case.query.pop("cursor")
