"""Light, dark, or as the reader's system has it: a cookie that a form sets, so that it works without scripts."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from flask import Blueprint, Flask, current_app, redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from letstalk.core.errors import InvalidRequest
from letstalk.http.cookies import cookie_name
from letstalk.http.forms import local_path
from letstalk.http.guards import sign_in_page

COOKIE = "theme"
KEPT_FOR = timedelta(days=365)
SYSTEM = "system"
# Each with the colour schemes that the browser may draw its own parts in, such as scroll bars.
SCHEMES = {SYSTEM: "light dark", "light": "light", "dark": "dark"}

themes = Blueprint("themes", __name__)


def chosen_theme() -> str:
    """`system`, `light` or `dark`, as the reader chose."""
    theme = request.cookies.get(_cookie(), SYSTEM)
    return theme if theme in SCHEMES else SYSTEM


@themes.post("/theme")
@sign_in_page
def choose() -> ResponseReturnValue:
    """Keep the choice for a year, and go back to the page that it was made on. Raises InvalidRequest."""
    theme = request.form.get("theme", "")
    if theme not in SCHEMES:
        raise InvalidRequest.in_field("theme", "Choose the theme system, light or dark.")
    response = redirect(_page_before(), 303)
    response.set_cookie(
        _cookie(), theme, max_age=KEPT_FOR, secure=_is_secure(), httponly=True, samesite="Lax", path="/"
    )
    return response


def init_themes(app: Flask) -> None:
    app.register_blueprint(themes)
    app.context_processor(_theme_of_page)


def _theme_of_page() -> dict[str, str]:
    theme = chosen_theme()
    return {"theme": theme, "color_scheme": SCHEMES[theme]}


def _page_before() -> str:
    """The page that the form was on, as the browser names it: no page has to repeat its own query, which may hold a
    token that somebody pasted. `/` where it can't be shown again, such as a form that was refused.
    """
    page = urlsplit(request.referrer or "")
    try:
        current_app.url_map.bind("localhost").match(page.path, method="GET")
    except HTTPException:
        return "/"
    return local_path(f"{page.path}?{page.query}".rstrip("?")) or "/"


def _cookie() -> str:
    return cookie_name(COOKIE, is_secure=_is_secure())


def _is_secure() -> bool:
    return request.is_secure or bool(current_app.config["COOKIES_ARE_SECURE"])
