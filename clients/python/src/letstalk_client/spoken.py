"""What the adapters of frameworks share: one client for each process, codes in sentences, sentences for people."""

from __future__ import annotations

import re
from functools import cache

from letstalk_client.client import Client
from letstalk_client.errors import DestinationBlocked, InvalidPhone, LetsTalkError, TooManyRequests

# A person waits for the page: ten seconds at most for a service that hangs, and a limit is for them to wait for.
TIMEOUT_SECONDS = 5.0
MAX_RETRIES = 1
LONGEST_WAIT_SECONDS = 3.0
TRY_LATER = "We can't call you right now. Try again in a moment."
_CODE = re.compile(r"(?<![0-9A-Za-z])[0-9]{4,10}(?![0-9A-Za-z])")


@cache
def shared_client(url: str, token: str) -> Client:
    """The same client for the same service each time, so that connections are kept."""
    return Client(
        url, token, timeout_seconds=TIMEOUT_SECONDS, max_retries=MAX_RETRIES, longest_wait_seconds=LONGEST_WAIT_SECONDS
    )


def code_in(text: str) -> str:
    """The one code of 4 to 10 digits in a message. Raises ValueError where there is none, or more than one.

    Only the code is ever spoken, with the service's own words around it.
    """
    found = set(_CODE.findall(text))
    if len(found) != 1:
        raise ValueError(
            f"The message has {len(found)} codes of 4 to 10 digits. It must have one, and no other number."
        )
    return str(found.pop())


def sentence_for(error: LetsTalkError) -> str:
    """What the person may read. Mistakes in the set-up are for the log only."""
    if isinstance(error, TooManyRequests):
        return f"{error.message} You can try again in {_in_words(error.retry_after_seconds or 30)}."
    if isinstance(error, (InvalidPhone, DestinationBlocked)):
        return error.message
    return TRY_LATER


def _in_words(seconds: int) -> str:
    if seconds < 90:
        return f"{seconds} seconds"
    minutes = -(-seconds // 60)
    return f"{minutes} minutes" if minutes < 90 else f"{-(-minutes // 60)} hours"
