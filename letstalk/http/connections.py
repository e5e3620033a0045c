"""Which connections stay open: so many of each client, none that dawdles, and never more than there are files for."""

from __future__ import annotations

import errno
import os
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any, Protocol

from letstalk.core.ip_addresses import Network, is_in, read_address, subscriber_of
from letstalk.observability.logs import get_logger

log = get_logger(__name__)

HEADER_SECONDS = 10.0  # from its first byte, or from the beginning of the connection, to the end of the headers
BODY_SECONDS = 20.0  # from the first byte of its headers to the end of the body
UNREAD_SECONDS = 30.0  # without a byte of a response taken
# A client takes no thread while it sends slowly, only one of these places.
MAX_CONNECTIONS = 800
MAX_PER_ADDRESS = 200  # of one IPv4 address, or one /64 of IPv6
MAX_PER_NETWORK = 400  # of one /24 of IPv4, or one /48 of IPv6
OTHER_FILES = 224  # for the database, logs, Redis, the provider and mail
FILES_EACH = 3  # of a connection: its own, and two that the client has not read yet
MOST_FILES = 8192
LEAST_CONNECTIONS = 4
ROOM_FILES = 8  # how many connections fewer are kept each time that no file is left
NETWORK_BITS = {4: 24, 6: 48}
LOG_AGAIN_SECONDS = 60.0
BACK_OFF_SECONDS = 0.05  # when not even one file can be had: the loop must not use the processor meanwhile
NO_FILES_LEFT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Connection(Protocol):
    """Waitress's channel, and since when it has done what (in seconds of the monotonic clock)."""

    addr: Any
    request: Any  # what is being received
    total_outbufs_len: int  # bytes of responses that the client has not taken
    last_activity: float  # when a byte was received or taken, by the time of day
    began_at: float  # the request that is being received, or the connection
    waits_since: float  # for its next request
    was_useful: bool  # whether a whole request came
    lingers_until: float | None  # after a refusal

    @property
    def is_busy(self) -> bool: ...  # whether a request is being worked on

    def handle_close(self) -> None: ...


def allow_more_files() -> int:
    """Raise this process's limit of open files, as far as it may. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft


def most_connections(files: int) -> int:
    """How many connections a process keeps that may have `files` open: at least half of them are for connections."""
    return min(MAX_CONNECTIONS, max(files // 2, files - OTHER_FILES) // FILES_EACH)


class OpenConnections:
    """All connections of a server. Used by the thread of Waitress's loop alone.

    Where there is no place for a new connection, the one that has waited longest for a request is closed for it: among
    those of the client that has too many, or else of the network that has most. So who opens many displaces their own.
    """

    def __init__(
        self, most: int, *, proxies: int | tuple[Network, ...] = 0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`proxies` are those of TRUSTED_PROXIES. They hold the connections of many clients, and must count these."""
        self._most = self._most_at_first = most
        self._proxies = proxies
        self._monotonic = monotonic
        self._keys: dict[Connection, tuple[str, str]] = {}
        self._counts: Counter[str] = Counter()
        self._log_at = 0.0

    def __len__(self) -> int:
        return len(self._keys)

    def admit(self, new: Connection) -> None:
        """Keep `new`, and close another one where there are too many; `new` itself if all others are being served."""
        address, network = self._keys[new] = _keys_of(str(new.addr[0]))
        self._counts.update((address, network))
        if not self._is_proxy(str(new.addr[0])):
            for key, most in ((address, MAX_PER_ADDRESS), (network, MAX_PER_NETWORK)):
                if self._counts[key] > most and not self._close_one(but=new, key=key):
                    new.handle_close()
                    return
        if len(self._keys) >= self._most:
            self._close_one(but=new)

    def _is_proxy(self, address: str) -> bool:
        if isinstance(self._proxies, int):
            return self._proxies > 0
        read = read_address(address)
        return read is not None and is_in(read, self._proxies)

    def forget(self, closed: Connection) -> None:
        for key in self._keys.pop(closed, ()):
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]

    def close_late(self) -> None:
        """Close those whose deadline has passed, and one if all places are taken. Called every second."""
        now = self._monotonic()
        self._most = min(self._most + 1, self._most_at_first)
        for connection in [one for one in self._keys if _is_late(one, now)]:
            connection.handle_close()
        if len(self._keys) >= self._most:
            self._close_one()

    def make_room(self) -> None:
        """Keep fewer, because no file is left: the database needs some, too. `close_late` keeps more again."""
        self._most = max(LEAST_CONNECTIONS, min(self._most, len(self._keys)) - ROOM_FILES)
        while len(self._keys) > self._most and self._close_one():
            pass

    def _close_one(self, *, but: Connection | None = None, key: str | None = None) -> bool:
        """Whether there was one to close, which has no request under way, in the group of `key`."""
        idle = [
            one
            for one, keys in self._keys.items()
            if one is not but and not one.is_busy and (key is None or key in keys)
        ]
        if not idle:
            return False
        if self._monotonic() >= self._log_at:
            self._log_at = self._monotonic() + LOG_AGAIN_SECONDS
            log.warning("connections_closed_for_others", open=len(self._keys), group=key)
        min(idle, key=lambda one: (-self._counts[self._keys[one][1]], one.waits_since)).handle_close()
        return True


def _is_late(one: Connection, now: float) -> bool:
    if one.lingers_until is not None:
        return now > one.lingers_until
    if one.is_busy:
        return False
    if one.total_outbufs_len:
        return time.time() - one.last_activity > UNREAD_SECONDS
    if one.request is None:
        # Between two requests Waitress's own time-out holds.
        return not one.was_useful and now - one.began_at > HEADER_SECONDS
    return now - one.began_at > (BODY_SECONDS if one.request.headers_finished else HEADER_SECONDS)


def _keys_of(address: str) -> tuple[str, str]:
    """The client and the network under which a connection is counted."""
    client = subscriber_of(address)
    try:
        plain = ip_address(client.partition("/")[0])
    except ValueError:
        return client, f"network of {client}"
    return client, f"network {ip_network(f'{plain}/{NETWORK_BITS[plain.version]}', strict=False)}"


class Listener(socket.socket):
    """A listening socket that closes what it can't accept when no file is left.

    Otherwise the connection would wait to be accepted, and the loop would try again and again without a pause. A file
    that is kept in reserve makes room for the one connection that is accepted in order to be closed.
    """

    def __init__(self, listener: socket.socket, *, make_room: Callable[[], None]) -> None:
        """Takes over `listener`, which can't be used any more. `make_room` is called when no file is left."""
        super().__init__(listener.family, listener.type, listener.proto, fileno=listener.detach())
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._make_room = make_room
        self._log_at = 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        """Raises BlockingIOError, which Waitress takes for nothing to accept, when no file is left."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in NO_FILES_LEFT:
                raise
            self._turn_away(error)
            raise BlockingIOError(errno.EAGAIN, "no file is left") from None

    def close(self) -> None:
        super().close()
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def _turn_away(self, error: OSError) -> None:
        now = time.monotonic()
        if now >= self._log_at:
            self._log_at = now + LOG_AGAIN_SECONDS
            log.error("no_files_left", reason=error.strerror, hint="raise LimitNOFILE of the service")
        if self._spare < 0:
            time.sleep(BACK_OFF_SECONDS)
        else:
            os.close(self._spare)
        try:
            super().accept()[0].close()
        except OSError:
            time.sleep(BACK_OFF_SECONDS)
        try:
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._spare = -1
        self._make_room()
