"""Everything that is wrong is reported at once."""

from __future__ import annotations

import pytest

from letstalk.accounts.models import Account, AccountChanges, AccountState, Role, apply_changes
from letstalk.core.errors import InvalidPhone, InvalidRequest, LetsTalkError, NotFound, WeakPassword, WrongPassword
from letstalk.core.field_errors import FieldErrors
from tests.support.world import NOON

WEAK = WeakPassword.in_field("new_password", "new_password is too short.")


def raised(*errors: LetsTalkError) -> LetsTalkError | None:
    problems = FieldErrors()
    for error in errors:
        with problems.collected():
            raise error
    try:
        problems.raise_found()
    except LetsTalkError as error:
        return error
    return None


def test_one_error_is_raised_as_it_is_and_none_where_there_is_none() -> None:
    assert raised() is None
    assert raised(WEAK) is WEAK


def test_several_are_one_with_the_details_of_all() -> None:
    mixed = raised(InvalidRequest.in_field("email", "email is wrong."), InvalidPhone.in_field("phone", "No phone."))
    assert mixed is not None
    assert (type(mixed), [detail.field for detail in mixed.details]) == (InvalidRequest, ["email", "phone"])
    assert str(mixed) == "email is wrong."
    both = raised(InvalidPhone.in_field("phone", "No phone."), InvalidPhone.in_field("other", "No phone."))
    assert isinstance(both, InvalidPhone)
    wrong = raised(InvalidRequest.in_field("phone", "No phone."), WrongPassword())
    assert isinstance(wrong, WrongPassword)
    assert [detail.field for detail in wrong.details] == ["phone", "current_password"]


def test_what_is_about_no_field_is_not_held_back() -> None:
    problems = FieldErrors()
    for error in (NotFound("There is no such account."), InvalidRequest("The request is wrong.")):
        with pytest.raises(type(error)), problems.collected():
            raise error
    assert not problems


def test_every_field_of_an_account_is_judged() -> None:
    account = Account("id", "ada", "ada@example.com", Role.VIEWER, AccountState.ACTIVE, None, (), NOON)
    changes = AccountChanges(username="-", email="nobody", role="king", owner_ids=["\x00"], phone="12")
    with pytest.raises(InvalidRequest) as refused:
        apply_changes(account, changes, None)
    assert [detail.field for detail in refused.value.details] == ["username", "email", "role", "user_ids", "phone"]
