"""Finding people for the dashboard's search, for admins: by id, username or e-mail address."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from letstalk.accounts.models import Account
from letstalk.accounts.service import AccountService
from letstalk.core.actors import Actor
from letstalk.core.ids import canonical_id
from letstalk.core.search import MOST_OF_A_KIND, Hit

KIND = "People"
MAX_CHARACTERS = 100


def find_people(accounts: AccountService, actor: Actor, text: str) -> Sequence[Hit]:
    """The newest people that `text` names; the last hit leads to the rest of them."""
    if not actor.is_admin or len(text) > MAX_CHARACTERS:
        return ()
    known_id = canonical_id(text)
    if known_id is not None:
        found = accounts.find(known_id)
        return () if found is None else [_hit(found)]
    page = accounts.list_accounts(actor, search=text, limit=MOST_OF_A_KIND)
    hits = [_hit(account) for account in page.accounts]
    if page.next_cursor is not None:
        hits.append(Hit(KIND, "All of them", "In the list of people", f"/dashboard/people?{urlencode({'q': text})}"))
    return hits


def _hit(account: Account) -> Hit:
    return Hit(
        KIND,
        account.username or account.email,
        f"{account.role.value}, {account.state.value}",
        f"/dashboard/people/{account.account_id}",
    )
