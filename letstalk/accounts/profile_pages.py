"""The dashboard's pages about one's own account: username, phone and second factor, password, sessions."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.accounts.authentication import current_device
from letstalk.accounts.code_pages import code_in_form
from letstalk.accounts.known_browsers import remember_browser
from letstalk.accounts.models import Account, AccountChanges, SignInProvider
from letstalk.accounts.passwords import describe_rules
from letstalk.accounts.services import Accounts
from letstalk.core.errors import Detail, LetsTalkError
from letstalk.core.field_errors import FieldErrors
from letstalk.core.unset import UNSET
from letstalk.http.forms import form_response, form_text, keep_submission, new_submission, was_sent_before
from letstalk.http.guards import current_actor, signed_in_person

METHODS = {"password": "Password", "sso": "Single sign-on", "jwt": "Signed token", "invitation": "Invitation"}

# The first match counts: each browser also names the browsers before it.
_PROGRAMS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrom", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_MAX_NAME_LENGTH = 40
_PRODUCT = re.compile(rf"[^\s/();]{{1,{_MAX_NAME_LENGTH}}}")  # RFC 9110, section 10.1.5: name/version


def make_blueprint(accounts: Accounts, provider: SignInProvider | None) -> Blueprint:
    """`provider` is where people sign in who have no password here."""
    profile = Blueprint("profile", __name__)
    profile.add_app_template_filter(name_device)
    _add_profile(profile, accounts, provider)
    _add_sessions(profile, accounts)
    return profile


def _add_profile(profile: Blueprint, accounts: Accounts, provider: SignInProvider | None) -> None:
    def own_account() -> Account:
        actor = current_actor()
        return accounts.service.get_account(actor, actor.account_id or "")

    def update(changes: AccountChanges, *, is_confirmed: bool = False) -> None:
        actor = current_actor()
        accounts.service.update_account(actor, actor.account_id or "", changes, is_confirmed=is_confirmed)

    def confirm_password(field: str = "confirm_password") -> bool:
        """Whether the account has a password, which the form then contains. Raises as `SignInService`."""
        if not own_account().has_password:
            return False
        password = request.form.get(field, "")
        accounts.sign_ins.confirm_password(current_actor(), password, current_device())
        return True

    @profile.get("/dashboard/profile", endpoint="show")
    @signed_in_person
    def render_page(error: LetsTalkError | None = None, **context: Any) -> Response:
        account = own_account()
        shown = {
            "wanted_name": account.username,
            "wanted_phone": account.pending_phone or account.phone or "",
            "wants_code": account.second_factor,
            "rules": describe_rules(accounts.passwords.rules),
            "provider": provider,
            "recovery_codes": accounts.recovery_codes.count_left(account.account_id),
            "submission": new_submission(),
            "role_requires": accounts.second_factors.is_required(account) and not account.second_factor,
        }
        return form_response("accounts/profile/profile.html", error, account=account, **{**shown, **context})

    @profile.post("/dashboard/profile/name")
    @signed_in_person
    def change_name() -> ResponseReturnValue:
        try:
            update(AccountChanges(username=form_text("username")))
        except LetsTalkError as error:
            return render_page(error, fields=("username",), wanted_name=form_text("username"))
        return _back_with("Your username has been changed.")

    @profile.post("/dashboard/profile/phone")
    @signed_in_person
    def change_phone() -> ResponseReturnValue:
        """Requires the present password, if any: an unlocked browser must not be enough to take the account over. A new
        phone is called, and counts once its code was given.
        """
        account, phone = own_account(), form_text("phone")
        changes = _factor_changes(account)
        is_new = bool(phone) and phone != account.phone
        try:
            problems, is_confirmed = FieldErrors(), False
            if is_new or changes.changes_second_factor:
                with problems.collected():
                    is_confirmed = confirm_password()
            if is_new:
                with problems.collected():
                    accounts.service.check_phone(phone)
            problems.raise_found()
            if is_new:
                # First: after an error of the call nothing has changed.
                called = accounts.second_factors.begin_proof(current_actor(), phone, is_confirmed=is_confirmed)
            update(changes, is_confirmed=is_confirmed)
            if is_new:
                return _back_with(f"We are calling {called.phone}. Enter the code that you hear below.")
        except LetsTalkError as error:
            kept = {"wanted_phone": form_text("phone"), "wants_code": "second_factor" in request.form}
            fields = ("phone", "second_factor", "confirm_password")
            return render_page(_beside(error, "confirm_password"), fields=fields, **kept)
        return _back_with("Your phone and second factor have been changed.")

    @profile.post("/dashboard/profile/phone/verify")
    @signed_in_person
    def verify_phone() -> ResponseReturnValue:
        """The code that the new phone heard. It also says whether each sign-in asks for one."""
        try:
            wants_code = "second_factor" in request.form
            accounts.second_factors.finish_proof(current_actor(), code_in_form(), second_factor=wants_code)
        except LetsTalkError as error:
            error.details = (Detail("code", error.message),)
            return render_page(error, fields=("code",))
        if not accounts.recovery_codes.count_left(current_actor().account_id or "").remaining:
            flash("Your phone is proven. Now create recovery codes: they replace the call if you lose your phone.")
            return redirect(url_for("profile.show", _anchor="recovery"))
        return _back_with("Your phone is proven.")

    @profile.post("/dashboard/profile/phone/call-again")
    @signed_in_person
    def call_phone_again() -> ResponseReturnValue:
        try:
            called = accounts.second_factors.call_pending_phone_again(current_actor())
        except LetsTalkError as error:
            return render_page(error)
        return _back_with(f"We are calling {called.phone} again, with the same code.")

    @profile.post("/dashboard/profile/recovery-codes")
    @signed_in_person
    def create_recovery_codes() -> ResponseReturnValue:
        """Shows the new codes, once."""
        if was_sent_before():
            return _back_with("The codes were shown once. If you did not keep them, create new ones.")
        try:
            made = accounts.recovery_codes.replace_codes(
                current_actor(), is_confirmed=confirm_password("codes_password")
            )
        except LetsTalkError as error:
            return render_page(_beside(error, "codes_password"), fields=("codes_password",))
        keep_submission()
        return make_response(render_template("accounts/profile/recovery_codes.html", codes=made.codes))

    @profile.post("/dashboard/profile/password")
    @signed_in_person
    def change_password() -> ResponseReturnValue:
        """This session continues; all others end."""
        current, new = request.form.get("current_password", ""), request.form.get("new_password", "")
        try:
            accounts.sign_ins.replace_password(current_actor(), current, new, current_device())
            changed = accounts.service.get_account(current_actor(), current_actor().account_id or "")
            remember_browser(changed.account_id, str(changed.credentials_epoch))
        except LetsTalkError as error:
            return render_page(_beside(error, "current_password"), fields=("current_password", "new_password"))
        return _back_with("Your password has been changed. All your other sessions have ended.")


def _add_sessions(profile: Blueprint, accounts: Accounts) -> None:
    @profile.get("/dashboard/sessions")
    @signed_in_person
    def sessions() -> ResponseReturnValue:
        actor = current_actor()
        return render_template(
            "accounts/profile/sessions.html",
            sessions=accounts.sessions.list_sessions(actor.account_id or ""),
            current_id=actor.session_id,
            methods=METHODS,
        )

    @profile.post("/dashboard/sessions/<uuid:session_id>/end")
    @signed_in_person
    def end_session(session_id: object) -> ResponseReturnValue:
        """Its cookie, or its tokens, stop working at once. Ending the current session signs out."""
        accounts.sessions.end_session(current_actor(), str(session_id))
        flash("The session has been ended.")
        return redirect(url_for("profile.sessions"))

    @profile.post("/dashboard/sessions/end-others")
    @signed_in_person
    def end_other_sessions() -> ResponseReturnValue:
        actor = current_actor()
        ended = accounts.sessions.end_all_sessions(actor.account_id or "", actor, reason="ended", keep=actor.session_id)
        flash(f"Other sessions ended: {ended}.")
        return redirect(url_for("profile.sessions"))


def _factor_changes(account: Account) -> AccountChanges:
    """The changes to one's own phone and second factor; UNSET for what stays, and for a phone that is to be proven."""
    phone, second_factor = form_text("phone"), "second_factor" in request.form
    if not phone and (account.phone or account.pending_phone):
        return AccountChanges(phone=None)
    is_withdrawn = phone == account.phone and account.pending_phone is not None
    return AccountChanges(
        phone=phone if is_withdrawn else UNSET,
        # Without a proven phone, the form with the code asks for it.
        second_factor=UNSET
        if second_factor == account.second_factor or (phone and not account.phone)
        else second_factor,
    )


def _beside(error: LetsTalkError, field: str) -> LetsTalkError:
    """Shows the error of a wrong or missing password beside its field."""
    error.details = tuple(_renamed(detail, field) for detail in error.details)
    return error


def _renamed(detail: Detail, field: str) -> Detail:
    if detail.field != "current_password":
        return detail
    is_missing = detail.message.startswith(detail.field)
    return Detail(field, "Enter your password." if is_missing else detail.message)


def _back_with(sentence: str) -> ResponseReturnValue:
    flash(sentence)
    return redirect(url_for("profile.show"))


def name_device(user_agent: str) -> str:
    """`Firefox on Windows`, `curl`; `Unknown device` for a program that does not name itself."""
    if not user_agent.startswith("Mozilla/"):
        product = _PRODUCT.match(user_agent)
        return product[0] if product else "Unknown device"
    program = next((name for mark, name in _PROGRAMS if mark in user_agent), "Browser")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), None)
    return program if system is None else f"{program} on {system}"
