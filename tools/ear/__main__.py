"""`make ear` and `make ear-all`: hear the codes, write docs/ear.md, and say whether the gates hold.

The exit status is 1 where a gate does not hold or a control does not fail.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tools.ear.decoder import Ear
from tools.ear.packages import assemble_whisper, unpack_debian
from tools.ear.plans import checks_of, run
from tools.ear.report import write_report
from tools.ear.trials import Laboratory
from tools.ear.voices import load_voices

REPORT = Path(__file__).resolve().parents[2] / "docs" / "ear.md"


def main() -> int:
    started = time.monotonic()
    size = "".join(sys.argv[1:])
    if size not in ("", "short", "all"):
        sys.exit("Say short, all, or nothing.")
    voices = load_voices(unpack_debian())
    laboratory = Laboratory(Ear(assemble_whisper(), threads=os.cpu_count() or 1), voices)

    def tell(line: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s  {line}", flush=True)

    found = run(laboratory, size=size, tell=tell)
    checks = checks_of(found)
    for check in checks:
        word = "control" if check.is_control else "gate"
        print(f"{'ok  ' if check.holds else 'FAIL'} {word:8} {check.name}: {check.measured} (wanted: {check.wanted})")
    what = {"": "make ear", "short": "make ear EAR=short", "all": "make ear-all"}[size]
    write_report(REPORT, found, checks, voices, time.monotonic() - started, what)
    print(f"Written: {REPORT}")
    return 0 if all(check.holds for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
