"""Whether a form was sent from a page of ours, and if not, why (OWASP, Cross-Site Request Forgery Prevention)."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import current_app, request, session
from flask_wtf.csrf import CSRFError

from letstalk.core.errors import CsrfFailed
from letstalk.http.cookies import csrf
from letstalk.http.forms import ensure_short_fields

UNSAFE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})

OTHER_SITE = "This form was sent from another site. Open the page here, and send it from there."
NO_SOURCE = "Your browser did not say which page this form is from. Allow it to send Origin or Referer to this site."
NO_COOKIE = "Your browser sent no cookie with this form. Allow cookies for this site, reload the page and try again."
NOT_HTTPS = "Your browser keeps the cookie of this page for https. Open the page with https and try again."
EXPIRED = "This form has expired. Go back, reload it and try again."


def check_form() -> None:
    """Raises CsrfFailed, whose sentence names the cause, for a form that is not from our own page; InvalidRequest for
    one with a value that is too long.
    """
    if request.method not in UNSAFE_METHODS:
        return
    _check_source()
    ensure_short_fields()
    try:
        csrf.protect()
    except CSRFError:
        raise CsrfFailed(_cause()) from None


def _check_source() -> None:
    """Compare where the form is from with our own addresses. Over HTTPS a browser must say it in one of two headers."""
    source = request.headers.get("Origin") or request.headers.get("Referer")
    if source is None:
        if request.is_secure:
            raise CsrfFailed(NO_SOURCE)
        return
    own = {_origin_of(address) for address in (request.host_url, current_app.config["PUBLIC_URL"]) if address}
    if _origin_of(source) not in own:
        raise CsrfFailed(OTHER_SITE)


def _origin_of(address: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(address)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        return parts.scheme, parts.hostname or "", port
    except ValueError:
        return "", "", None


def _cause() -> str:
    if "csrf_token" in session:
        return EXPIRED
    is_kept_for_https = current_app.config["COOKIES_ARE_SECURE"] and not request.is_secure
    return NOT_HTTPS if is_kept_for_https else NO_COOKIE
