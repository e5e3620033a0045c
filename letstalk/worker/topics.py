"""What a worker can be woken for."""

from __future__ import annotations

from enum import StrEnum


class Topic(StrEnum):
    """Each with the key of its wake-ups; without one where a look at the database shows what is to be done."""

    DISPATCH = "dispatch"  # calls wait
    CHANNEL_FREE = "channel_free"  # a channel is certainly free
    PUT_BACK = "put_back"  # call id: its pause is over, it may be placed again
    DIAL = "dial"  # call id: it was claimed and waits to be dialed
    APPLY_EVENT = "apply_event"  # event id: it was stored and waits to be applied
    CARRY_OUT = "carry_out"  # call id: it has a command that waits
    HANG_UP_STRAY = "hang_up_stray"  # call id: a phone rings for a call that is over here
    OFFER_CODE = "offer_code"  # call id: it was answered, and detection has had its time
    OFFER_CODES = "offer_codes"  # calls were answered: see about which of them detection has said nothing
    DELIVER_MAIL = "deliver_mail"  # mail id
