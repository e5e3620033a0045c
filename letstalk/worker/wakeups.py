"""What tells a worker that something waits. Losing every nudge loses nothing: the rows say it too, and sweeps look."""

from __future__ import annotations

from typing import Protocol


class Nudges(Protocol):
    def dispatch(self, *, is_channel_free: bool = False) -> None:
        """Calls wait, or a channel came free, as is certain where `is_channel_free`."""

    def dispatch_here(self) -> None:
        """A channel came free: look at the queue in this very thread, if it is one that works in the background.

        Raises nothing.
        """

    def dispatch_later(self, seconds: float) -> None:
        """A call may be placed again after a pause."""

    def dial(self, call_id: str) -> None:
        """A call was claimed and waits to be dialed."""

    def apply_event(self, event_id: str) -> None:
        """An event was stored and waits to be applied."""

    def carry_out(self, call_id: str) -> None:
        """A call has a command that waits."""

    def hang_up_stray(self, call_id: str, provider_call_id: str) -> None:
        """A phone rings for a call that is over here."""

    def offer_code(self, call_id: str) -> None:
        """A call was answered, and detection has had its time."""

    def offer_codes_later(self, seconds: float) -> None:
        """A call was answered; see then about which calls detection has said nothing."""
