"""`python -m tests.support.fake_telnyx --help`"""

from __future__ import annotations

import argparse
import json
import signal
import threading
from typing import Any

from tests.support.fake_telnyx.phones import Phone
from tests.support.fake_telnyx.servers import API_KEY, FakeTelnyx


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.fake_telnyx", description="A fake Telnyx")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--speed", type=float, default=20.0, help="how many times faster than real calls")
    parser.add_argument("--channels", type=int, help="live calls beyond this are refused with 403 D1")
    parser.add_argument("--webhook-key", help="the Ed25519 key that signs webhooks: 32 bytes in base64")
    parser.add_argument("--phone", action="append", default=[], metavar="ENDING=KIND", help=", ".join(Phone))
    parser.add_argument("--options", type=json.loads, default={}, help="any arguments of FakeTelnyx, as JSON")
    given = parser.parse_args()

    options: dict[str, Any] = {
        "port": given.port,
        "speed": given.speed,
        "channels": given.channels,
        "webhook_key": given.webhook_key,
        "phones": dict(entry.split("=", 1) for entry in given.phone),
        **given.options,
    }
    options["phones"] = {ending: Phone(kind) for ending, kind in options["phones"].items()}
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with FakeTelnyx(**options) as telnyx:
        print("TELEPHONY_PROVIDER=telnyx")
        print(f"TELNYX_API_KEY={API_KEY}")
        print(f"TELNYX_PUBLIC_KEY={telnyx.public_key}")
        print(f"TELNYX_BASE_URL={telnyx.base_url}", flush=True)
        stopped.wait()


main()
