"""The cookie by which a browser shows that somebody has signed in with it before.

It signs nobody in: a browser that has it is counted by itself while strangers guess at the same password. It is worth
nothing once the credentials have changed: who knew the old ones must not guess at the new ones with it.
"""

from __future__ import annotations

import hashlib
import secrets

from flask import Response, after_this_request, current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from letstalk.http.cookies import cookie_name

LIFETIME_SECONDS = 365 * 24 * 3600
MOST_ACCOUNTS = 10  # the latest; a cookie has room for some 4,000 characters
ID_BYTES = 16


def known_browser() -> tuple[str | None, frozenset[tuple[str, str]]]:
    """The id of the browser that makes the request, and the accounts it has signed in to, each with the mark of its
    credentials. (None, none) without one.
    """
    browser_id, marks = _read()
    return browser_id, frozenset(marks.items())


def remember_browser(account_id: str, mark: str) -> None:
    """Let the response to this request say that the browser has signed in to `account_id`, whose credentials have this
    mark now.
    """
    browser_id, marks = _read()
    latest = dict([(account_id, mark), *(it for it in marks.items() if it[0] != account_id)][:MOST_ACCOUNTS])
    value = _serializer().dumps([browser_id or secrets.token_urlsafe(ID_BYTES), latest])

    @after_this_request
    def set_cookie(response: Response) -> Response:
        response.set_cookie(
            _cookie_name(),
            value,
            max_age=LIFETIME_SECONDS,
            secure=_is_secure(),
            httponly=True,
            # Not sent with another site's form, which could otherwise use up the browser's attempts.
            samesite="Lax",
        )
        return response


def _read() -> tuple[str | None, dict[str, str]]:
    presented = request.cookies.get(_cookie_name())
    if presented is None:
        return None, {}
    try:
        browser_id, marks = _serializer().loads(presented, max_age=LIFETIME_SECONDS)
    except BadSignature:
        return None, {}
    return browser_id, marks


def _serializer() -> URLSafeTimedSerializer:
    key = current_app.config["SECRET_KEY"]
    return URLSafeTimedSerializer(
        key, salt="known browser with marks", signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
    )


def _cookie_name() -> str:
    return cookie_name("letstalk_known", is_secure=_is_secure())


def _is_secure() -> bool:
    return current_app.session_interface.get_cookie_secure(current_app)
