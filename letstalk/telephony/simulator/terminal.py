"""The simulator's calls on a developer's own terminal: three short lines for each, in which the code stands out."""

from __future__ import annotations

import sys
from typing import Protocol

import click

from letstalk.observability.terminal import escape_controls
from letstalk.telephony.events import HangupCause
from letstalk.telephony.speech.scripts import Speech

_ENDINGS = {
    HangupCause.BUSY: "is busy",
    HangupCause.NO_ANSWER: "does not answer",
    HangupCause.REJECTED: "declines",
    HangupCause.CANCELED: "rings no more: the call was taken back",
    HangupCause.TIME_LIMIT: "is cut off: the call lasted too long",
}


class PhoneListener(Protocol):
    """Is told what happens to a phone. `phone` is its number, or the call's id where only that is known."""

    def rings(self, phone: str) -> None: ...

    def hears(self, phone: str, speech: Speech) -> None: ...

    def ends(self, phone: str, cause: HangupCause) -> None: ...


class Terminal:
    """Prints what happens, with the code, on standard output."""

    def rings(self, phone: str) -> None:
        self._print(phone, "rings")

    def hears(self, phone: str, speech: Speech) -> None:
        said = escape_controls(speech.text) if speech.code is None else self._emphasise(speech.code)
        self._print(phone, f"hears  {said}  ({speech.language})")

    def ends(self, phone: str, cause: HangupCause) -> None:
        self._print(phone, _ENDINGS.get(cause, "hangs up"))

    def _print(self, phone: str, happening: str) -> None:
        sys.stdout.write(f"  ☎  {escape_controls(phone)} {happening}\n")
        sys.stdout.flush()

    @staticmethod
    def _emphasise(code: str) -> str:
        return click.style(code, bold=True, reverse=True) if sys.stdout.isatty() else code
