"""What a webhook endpoint costs a check and a send: `python -m tools.benchmarks.listening`.

Two servers of this checkout take short turns on one core, as in `before_and_after`. To one of them an endpoint listens,
which gets every event of the owner and answers at once.
"""

from __future__ import annotations

import argparse
import os
from contextlib import closing
from dataclasses import replace
from functools import partial

from letstalk.core.actors import ActorKind, trusted_actor
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from tools.benchmarks.contestants import send, verify
from tools.benchmarks.contests import Contest, run_contests
from tools.benchmarks.hanging_endpoints import LOOPBACK, endpoints_of, receiver
from tools.benchmarks.installations import USER_ID, Installation
from tools.benchmarks.machines import LOAD_CORE
from tools.benchmarks.plans import FULL


def listen(installation: Installation, port: int) -> None:
    """Make an endpoint for every event of the owner, on this machine."""
    installation.environment["WEBHOOK_ALLOWED_NETWORKS"] = LOOPBACK
    with closing(Database(installation.environment["DATABASE_URL"])) as db:
        service = endpoints_of(db, Vault((installation.environment["ENCRYPTION_KEYS"],)))
        actor = replace(trusted_actor(ActorKind.OWNER), owner_id=USER_ID)
        service.create_endpoint(actor, f"http://127.0.0.1:{port}/ok")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.listening")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=FULL.contestant_seconds, help="for each server in each round")
    given = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    plan = replace(FULL, rounds=given.rounds, contestant_seconds=given.seconds)
    with receiver() as (port, _):
        contests: list[Contest] = [
            {f"{name}, nobody": open_one, f"{name}, somebody": partial(open_one, prepare=partial(listen, port=port))}
            for name, open_one in (("verify", verify), ("send", send))
        ]
        results = run_contests(contests, plan, print)
    for name in ("verify", "send"):
        ratio = results.ratio_between(f"{name}, somebody", f"{name}, nobody")
        print(f"{name}: somebody listens ÷ nobody does {ratio.show()}")


if __name__ == "__main__":
    main()
