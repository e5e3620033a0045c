"""The result of a run: a table for people, JSON for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.reliability.verdicts import SHOWN, Promise


def print_promises(title: str, promises: Sequence[Promise]) -> None:
    print(f"\n{title}\n")
    width = max(len(promise.sentence) for promise in promises)
    for promise in promises:
        mark = "kept  " if promise.is_kept else "BROKEN"
        lines = textwrap.wrap(promise.measured, 100) or [""]
        print(f"  {mark}  {promise.sentence:<{width}}  {lines[0]}")
        for line in lines[1:]:
            print(f"  {'':6}  {'':<{width}}  {line}")
        for breach in promise.breaches[:SHOWN]:
            print(f"          - {breach}")
        if len(promise.breaches) > SHOWN:
            print(f"          … and {len(promise.breaches) - SHOWN} more")
    print(flush=True)


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2, default=str) + "\n")


def say(text: str) -> None:
    print(text, flush=True)
