"""Reports everything that is wrong with a request at once, so that nobody corrects one field after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from letstalk.core.errors import InvalidRequest, WrongPassword


class FieldErrors:
    """Collects the errors of several fields:

    with problems.collected():
        username = check_username(username)
    with problems.collected():
        email = check_email(email)
    problems.raise_found()
    """

    def __init__(self) -> None:
        self._found: list[InvalidRequest | WrongPassword] = []

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keeps an InvalidRequest about a field, and a WrongPassword, for `raise_found`. Raises every other error."""
        try:
            yield
        except (InvalidRequest, WrongPassword) as error:
            if not error.details:
                raise
            self._found.append(error)

    def add(self, field: str, message: str) -> None:
        self._found.append(InvalidRequest.in_field(field, message))

    def __bool__(self) -> bool:
        return bool(self._found)

    def raise_found(self) -> None:
        """Raises what was collected, if anything was: one error as it is, several as one with the details of all.

        A wrong password decides the kind. Otherwise errors of one kind keep it, such as InvalidPhone.
        """
        if not self._found:
            return
        wrong = [error for error in self._found if isinstance(error, WrongPassword)]
        first = wrong[0] if wrong else self._found[0]
        details = tuple(detail for error in self._found for detail in error.details)
        if wrong or len({type(error) for error in self._found}) == 1:
            first.details = details
            raise first
        raise InvalidRequest(first.message, details=details)
