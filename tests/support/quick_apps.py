"""Applications for tests that make hundreds of them: as `create_app` makes them, but for what takes long each time."""

from __future__ import annotations

import os
from functools import partial
from typing import Any
from unittest.mock import patch

from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import make_url
from werkzeug.routing import Rule

from letstalk import wiring_accounts
from letstalk.accounts.services import AccountsOptions
from letstalk.config.settings import Settings
from letstalk.core.clock import Clock, utc_now
from letstalk.wiring import create_app
from tests.support.migrated_files import migrated_file

# Microseconds instead of 70 ms: what is tested is not how slow scrypt is.
FAST = "scrypt:128:1:1"


def quick_app(settings: Settings, *, clock: Clock = utc_now) -> Flask:
    """The application, its database migrated; its passwords cost next to nothing.

    A new SQLite file is a copy of one that was migrated, and each template and each route is compiled once.
    """
    lay_out(settings.database_url.get_secret_value())
    with (
        patch.object(wiring_accounts, "AccountsOptions", partial(AccountsOptions, scrypt=FAST)),
        patch.object(Flask, "url_rule_class", _RuleCompiledOnce),
    ):
        app = create_app(settings, clock=clock)
    app.jinja_env.bytecode_cache = _TEMPLATES
    return app


def lay_out(database_url: str) -> None:
    """Where that is an SQLite file that is not there yet, make it: a copy of one that was migrated."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return
    if not os.path.exists(url.database):
        with open(os.open(url.database, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(migrated_file())


class _RuleCompiledOnce(Rule):
    """A route that takes over what the same route of another application was compiled to.

    To compile two hundred of them is two thirds of making an application.
    """

    def compile(self) -> None:
        defaults = tuple(sorted((self.defaults or {}).items()))
        key = (self.rule, self.subdomain, self.host, self.merge_slashes, defaults)
        if key not in _COMPILED_RULES:
            before = dict(vars(self))
            super().compile()
            _COMPILED_RULES[key] = {
                name: value for name, value in vars(self).items() if name not in before or value is not before[name]
            }
        vars(self).update(_COMPILED_RULES[key])


_COMPILED_RULES: dict[tuple[object, ...], dict[str, Any]] = {}


class _CompiledTemplates(BytecodeCache):
    """The templates that any application of this process has compiled."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._compiled:
            bucket.bytecode_from_string(self._compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key] = bucket.bytecode_to_string()


_TEMPLATES = _CompiledTemplates()
