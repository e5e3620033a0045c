"""Builds the dashboard's search from what each feature finds."""

from __future__ import annotations

from functools import partial

from flask import Blueprint

from letstalk.accounts.search import find_people
from letstalk.audit.search import find_request
from letstalk.connect.search import find_connections
from letstalk.core.search import SearchSource
from letstalk.events.search import find_endpoints, find_events
from letstalk.http import search
from letstalk.services import Services
from letstalk.test_numbers.search import find_test_numbers
from letstalk.tokens.search import find_tokens


def make_search_page(services: Services) -> Blueprint:
    sources: tuple[SearchSource, ...] = (
        services.verification_search.find,
        partial(find_test_numbers, services.test_numbers),
        partial(find_request, services.audit_search),
        partial(find_events, services.app_events.log),
        partial(find_endpoints, services.app_events.endpoints),
        partial(find_connections, services.connections.service),
        partial(find_tokens, services.tokens),
        partial(find_people, services.accounts.service),
    )
    return search.make_blueprint(sources)
