"""The dashboard's navigation: which pages a person is offered. Who may open a page is said by its guard alone."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app, g, request, session
from flask_login import current_user
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from letstalk.core.actors import Actor
from letstalk.http.guards import Guard, guard_of, has_rights, remote_address

GUARDS = "letstalk_navigation"  # where Flask keeps the guards of the entries' pages


@dataclass(frozen=True, slots=True)
class Entry:
    """A page that the navigation leads to. An entry whose page does not exist is not shown.

    `icon` is a name of templates/icons.html. `also` are where the paths of other pages that belong to it begin; those
    below its own path belong to it anyway, unless it `is_alone`.
    """

    label: str
    path: str
    icon: str
    also: tuple[str, ...] = ()
    is_alone: bool = False

    def holds(self, path: str) -> bool:
        if self.is_alone:
            return path == self.path
        return any(path == start or path.startswith(f"{start}/") for start in (self.path, *self.also))


@dataclass(frozen=True, slots=True)
class Section:
    heading: str | None
    entries: tuple[Entry, ...]


SECTIONS = (
    Section(
        None,
        (
            Entry("Overview", "/dashboard", "overview", is_alone=True),
            Entry("Verifications", "/dashboard/verifications", "list"),
            Entry("Try it", "/dashboard/try", "send"),
            Entry("Simulated phone", "/simulator", "phone"),
        ),
    ),
    Section(
        "Integrate",
        (
            Entry("Tokens", "/api/tokens/dashboard", "key", also=("/dashboard/tokens",)),
            Entry("Test numbers", "/dashboard/test-numbers", "flask"),
            Entry("Connections", "/dashboard/connections", "link"),
            Entry("Webhooks", "/dashboard/webhooks", "plug"),
            Entry("Events", "/dashboard/events", "bell"),
            Entry("Languages", "/dashboard/languages", "speech"),
            Entry("API docs", "/docs", "book"),
        ),
    ),
    Section(
        "Manage",
        (
            Entry("People", "/dashboard/people", "people"),
            Entry("Audit", "/dashboard/audit", "history"),
            Entry("Health", "/dashboard/health", "health"),
        ),
    ),
)
ACCOUNT = Section(None, (Entry("Account", "/dashboard/profile", "person", also=("/dashboard/sessions",)),))


@dataclass(frozen=True, slots=True)
class Link:
    """An entry as one page shows it. `current` is the value of aria-current; None for the other parts."""

    entry: Entry
    current: str | None


@dataclass(frozen=True, slots=True)
class Navigation:
    """`person` is who is signed in: what they are called, and what they may do in a word."""

    sections: tuple[tuple[str | None, tuple[Link, ...]], ...]
    account: tuple[Link, ...]
    person: tuple[str, str] | None

    @property
    def paths(self) -> frozenset[str]:
        """The pages that it leads to."""
        return frozenset(link.entry.path for _, links in self.sections for link in links)


def init_navigation(app: Flask) -> None:
    """Look up the guard of each entry's page. Called after the last blueprint was registered."""
    routes = app.url_map.bind("localhost")
    guards: dict[str, Guard] = {}
    for entry in _entries():
        try:
            endpoint, _ = routes.match(entry.path, method="GET")
        except (HTTPException, RequestRedirect):
            continue
        guard = guard_of(app.view_functions[endpoint])
        if guard is not None:
            guards[entry.path] = guard
    app.extensions[GUARDS] = guards
    app.context_processor(lambda: {"navigation_for": navigation_for, "signed_in_actor": signed_in_actor})


def signed_in_actor() -> Actor | None:
    """Who is signed in to the dashboard, also where no guard asked: on the page of an error. None for anyone else."""
    actor: Actor | None = g.get("actor")
    if actor is None and "_user_id" in session:
        try:
            actor = current_user.actor_at(remote_address()) if current_user.is_authenticated else None
        except SQLAlchemyError:
            return None  # the page of an error must not fail itself
    return actor


def navigation_for(actor: Actor) -> Navigation:
    """The pages that `actor` may open, with the part marked to which the page at hand belongs."""
    holders = [(len(entry.path), entry) for entry in _entries() if entry.holds(request.path)]
    holder = max(holders, key=lambda pair: pair[0])[1] if holders else None
    sections = ((section.heading, _links(section, actor, holder)) for section in SECTIONS)
    return Navigation(tuple(pair for pair in sections if pair[1]), _links(ACCOUNT, actor, holder), _signed_in_person())


def _signed_in_person() -> tuple[str, str] | None:
    try:
        return (current_user.called, current_user.role) if current_user.is_authenticated else None
    except SQLAlchemyError:
        return None


def _links(section: Section, actor: Actor, holder: Entry | None) -> tuple[Link, ...]:
    guards: dict[str, Guard] = current_app.extensions[GUARDS]
    offered = [entry for entry in section.entries if entry.path in guards and has_rights(actor, guards[entry.path])]
    return tuple(Link(entry, _mark(entry) if entry is holder else None) for entry in offered)


def _mark(entry: Entry) -> str:
    return "page" if request.path == entry.path else "true"


def _entries() -> list[Entry]:
    return [entry for section in (*SECTIONS, ACCOUNT) for entry in section.entries]
