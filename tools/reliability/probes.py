"""Two further clients: whether a revoked token is refused, and whether the limit of a token holds."""

from __future__ import annotations

import threading
import time

from tools.reliability.clients import Client, Record
from tools.reliability.fleets import Fleet
from tools.reliability.verdicts import Promise

REVOKED_FOR_SECONDS = 1.0
REVOKE_EVERY_SECONDS = 8.0
LIMIT = 30  # a minute
ASK_EVERY_SECONDS = 0.5


class Probes:
    def __init__(self, fleet: Fleet, record: Record) -> None:
        self._fleet = fleet
        self._record = record
        self._admin = Client(fleet.bases, fleet.issue_token("prober", scopes=["admin"]), record)
        self._greedy = Client(fleet.bases, fleet.issue_token("greedy", rate_limit=f"{LIMIT} per minute"), record)
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=run, name=run.__name__, daemon=True) for run in (self._revoke, self._exceed_limit)
        ]
        self._revocations = Promise(f"A revoked token is refused {REVOKED_FOR_SECONDS:g} s later, on any server")
        self._checks = self._revoked = 0
        self._allowed = self._limited = 0
        self._started = time.monotonic()
        self._minutes = 0.0

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._minutes = (time.monotonic() - self._started) / 60
        for thread in self._threads:
            thread.join()
        for client in (self._admin, self._greedy):
            client.close()

    def promises(self, redis_losses: int) -> list[Promise]:
        """The promises. `redis_losses` is how often Redis was killed and lost its counts."""
        self._revocations.measured = f"{self._revoked} tokens, {self._checks} checks"
        servers = len(self._fleet.servers)
        # If Redis loses a window, counting starts again. While Redis is down, each server counts for itself.
        most = LIMIT * (self._minutes + 1 + redis_losses * (1 + servers))
        limit = Promise("A token's limit holds over all servers, except for what Redis loses")
        limit.measured = (
            f"{self._allowed} of {self._allowed + self._limited} requests allowed in {self._minutes:.1f} min at "
            f"{LIMIT} a minute, {redis_losses} times without Redis"
        )
        if self._allowed > most:
            limit.breaches.append(f"{self._allowed} were allowed, at most {most:.0f} should be")
        return [self._revocations, limit]

    def _revoke(self) -> None:
        while not self._stopped.wait(REVOKE_EVERY_SECONDS):
            made = self._admin.ask("POST", "/api/tokens", {"user_id": "short-lived"})
            if made is None or made.status != 201:
                self._revocations.breaches.append(f"no token was made: {made}")
                continue
            doomed = Client(self._fleet.bases, made.body["token"], self._record)
            for number in range(len(self._fleet.servers)):
                doomed.try_once(number, "GET", "/api/tokens/current")
            revoked = self._admin.ask("DELETE", f"/api/tokens/{made.body['token_id']}")
            if revoked is None or revoked.status != 200:
                self._revocations.breaches.append(f"a token was not revoked: {revoked}")
                continue
            self._revoked += 1
            time.sleep(REVOKED_FOR_SECONDS)
            for number in range(len(self._fleet.servers)):
                answer = doomed.try_once(number, "GET", "/api/tokens/current")
                self._checks += answer is not None
                if answer is not None and answer.status not in (401, 503):
                    self._revocations.breaches.append(f"server {number + 1} responded {answer.status}")
            doomed.close()

    def _exceed_limit(self) -> None:
        number = 0
        while not self._stopped.wait(ASK_EVERY_SECONDS):
            number += 1
            answer = self._greedy.try_once(number % len(self._fleet.servers), "GET", "/calls")
            self._allowed += answer is not None and answer.status == 200
            self._limited += answer is not None and answer.status == 429
