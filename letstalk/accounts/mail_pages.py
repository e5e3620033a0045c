"""The pages by which people have a link mailed to them: for a lost password, a new account, an address to prove.

What names an address is answered alike, whether somebody has it or not.
"""

from __future__ import annotations

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from letstalk.accounts.passwords import describe_rules
from letstalk.core.errors import LetsTalkError
from letstalk.http.container import people
from letstalk.http.forms import answer_form, asked_text
from letstalk.http.guards import sign_in_page
from letstalk.http.links import link_base
from letstalk.http.rate_limits import request_limits

mail_pages = Blueprint("mail_pages", __name__)


@mail_pages.get("/forgot-password")
@sign_in_page
def forgotten() -> ResponseReturnValue:
    return _ask("accounts/links/forgot.html")


@mail_pages.post("/forgot-password")
@sign_in_page
def ask_for_password() -> ResponseReturnValue:
    try:
        request_limits().check_mail(request.environ)
        people().password_resets.ask(asked_text("email"), link_base())
    except LetsTalkError as error:
        return _ask("accounts/links/forgot.html", error)
    return _ask("accounts/links/forgot.html", is_sent=True)


@mail_pages.get("/resend-verification")
@sign_in_page
def unverified() -> ResponseReturnValue:
    return _ask("accounts/links/resend.html")


@mail_pages.post("/resend-verification")
@sign_in_page
def resend_verification() -> ResponseReturnValue:
    try:
        request_limits().check_mail(request.environ)
        people().registrations.resend_verification(asked_text("email"), link_base())
    except LetsTalkError as error:
        return _ask("accounts/links/resend.html", error)
    return _ask("accounts/links/resend.html", is_sent=True)


@mail_pages.get("/register")
@sign_in_page
def newcomer() -> ResponseReturnValue:
    return _register()


@mail_pages.post("/register")
@sign_in_page
def register() -> ResponseReturnValue:
    try:
        request_limits().check_mail(request.environ)
        wanted = asked_text("username"), asked_text("email"), request.form.get("password", "")
        people().registrations.register(*wanted, link_base())
    except LetsTalkError as error:
        return _register(error)
    return _register(is_sent=True)


def _ask(template: str, error: LetsTalkError | None = None, *, is_sent: bool = False) -> Response:
    return answer_form(template, error, fields=("email",), email=asked_text("email"), is_sent=is_sent)


def _register(error: LetsTalkError | None = None, *, is_sent: bool = False) -> Response:
    return answer_form(
        "accounts/links/register.html",
        error,
        fields=("username", "email", "password"),
        name=asked_text("username"),
        email=asked_text("email"),
        rules=describe_rules(people().passwords.rules),
        is_open=people().registrations.is_open,
        is_sent=is_sent,
    )
