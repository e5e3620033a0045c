"""What keeps an open page current for little: one answer for all tabs that ask the same, and how soon to ask again.

Tabs ask; no stream is open, for the reasons of docs/decisions/0009-pages-that-ask.md.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from flask import Response, make_response, request

KEPT_SECONDS = 1.0
MOST_KEPT = 200

SOONEST_SECONDS = 2
LATEST_SECONDS = 40
# Of all tabs of this process together. tools/benchmarks/README.md has what they take from checks.
REQUESTS_PER_SECOND = 1.4
FORGOTTEN_AFTER_SECONDS = 2.5 * LATEST_SECONDS
MOST_TABS = 1_000
TAB_HEADER = "X-Tab"
MAX_TAB_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a page, and the tag (RFC 9110, section 8.8.3) that changes with it."""

    tag: str
    html: str


@dataclass(frozen=True, slots=True)
class _Kept:
    fragment: Fragment
    until: float


class Fragments:
    """The newest fragment for each key. A key says whose view it is: nothing is shared beyond it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, load: Callable[[], tuple[str, Callable[[], str]]]) -> Fragment:
        """The fragment for `key`, at most `KEPT_SECONDS` old.

        `load` returns what the fragment depends on, as text, and a function that renders it, which is called only where
        that text has changed.
        """
        now = self._monotonic()
        kept = self._kept.get(key)
        if kept is not None and now < kept.until:
            return kept.fragment
        content, render = load()
        tag = tag_of(content)
        fragment = kept.fragment if kept is not None and kept.fragment.tag == tag else Fragment(tag, render())
        with self._lock:
            self._kept[key] = _Kept(fragment, now + KEPT_SECONDS)
            self._kept.move_to_end(key)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return fragment


class Pace:
    """How soon a tab asks again: the more tabs are open, the later, so that all together stay within a rate."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def next_seconds(self, tab: str) -> int:
        """Seconds until the tab, which has chosen this id for itself, is to ask again."""
        now = self._monotonic()
        with self._lock:
            self._seen[tab] = now
            self._seen.move_to_end(tab)
            while len(self._seen) > MOST_TABS or next(iter(self._seen.values())) < now - FORGOTTEN_AFTER_SECONDS:
                self._seen.popitem(last=False)
            tabs = len(self._seen)
        return max(SOONEST_SECONDS, min(LATEST_SECONDS, round(tabs / REQUESTS_PER_SECOND)))


def is_known(tag: str) -> bool:
    """Whether the tab that asks has what `tag` stands for."""
    return request.if_none_match.contains_weak(tag)  # a proxy that compresses makes it weak


def answer_tab(pace: Pace, fragment: Fragment) -> Response:
    """The fragment for a tab that has another one, with how soon it is to ask again."""
    response = make_response("", 304) if is_known(fragment.tag) else make_response(fragment.html)
    response.headers["ETag"] = f'"{fragment.tag}"'
    response.headers["Retry-After"] = str(pace.next_seconds(request.headers.get(TAB_HEADER, "")[:MAX_TAB_CHARACTERS]))
    return response


def tag_of(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:20]
