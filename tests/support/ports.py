"""Ports for servers that are started a moment later, or again and again."""

from __future__ import annotations

import random
import socket

# Below net.ipv4.ip_local_port_range. One of those may be taken, by a connection or by a program that asks for any port,
# between the look and the start, or while a server that was killed is down.
_PORTS = range(15_000, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens, and which this process has not given before."""
    chance = random.SystemRandom()  # the random order of the tests seeds the usual one, alike in all test processes
    while True:
        port = chance.choice(_PORTS)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
