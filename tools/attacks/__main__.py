"""The command line: `python -m tools.attacks --help`."""

from __future__ import annotations

import argparse
import base64
import sys
import textwrap
import time

from tools.attacks import FAMILIES
from tools.attacks.targets import Target
from tools.attacks.trials import Result, Verdict, run_attack

WIDTHS = (10, 52, 5, 40, 56)


def main() -> int:
    """0 if every promise held, 1 if one was broken or an attack failed."""
    options = _options()
    try:
        target = Target(
            options.base,
            options.token,
            others=options.others,
            password=options.password,
            webhook_seed=base64.b64decode(options.webhook_seed) if options.webhook_seed else None,
            thorough=options.thorough,
        )
    except ValueError as error:
        sys.exit(str(error))
    deadline = time.monotonic() + options.seconds
    with target:
        if target.admin.get("/api/tokens", limit=1).status_code != 200:
            sys.exit("--token must be a live token with the scope admin")
        results = []
        _print_row("family", "attack", "tries", "promised", "seen", "verdict")
        for family in options.only or FAMILIES:
            for chosen in FAMILIES[family]:
                results.append(run_attack(family, chosen, target, deadline))
                _print(results[-1])
    counts = {verdict: sum(result.verdict is verdict for result in results) for verdict in Verdict}
    sys.stdout.write("\n" + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + "\n")
    return 1 if counts[Verdict.FOUND] or counts[Verdict.BROKE] else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tools.attacks", description="Attack a service that runs on this machine."
    )
    parser.add_argument("--base", required=True, help="its address: http://127.0.0.1:PORT")
    parser.add_argument("--others", nargs="+", default=[], metavar="BASE", help="more servers of the same service")
    parser.add_argument("--token", required=True, help="a token with the scope admin")
    parser.add_argument("--password", help="of the dashboard; without it some attacks on pages are skipped")
    parser.add_argument(
        "--webhook-seed", help="base64 of the Ed25519 key of a stand-in for Telnyx, for attacks with signed webhooks"
    )
    parser.add_argument("--only", nargs="+", choices=list(FAMILIES), metavar="FAMILY", help=", ".join(FAMILIES))
    parser.add_argument("--seconds", type=float, default=600, help="begin no attack after this time (%(default)s)")
    parser.add_argument("--thorough", action="store_true", help="more tries, and those that wait for time limits")
    return parser.parse_args()


def _print(result: Result) -> None:
    tries = str(result.tries)
    _print_row(result.family, result.attack, tries, result.promised, result.seen, result.verdict)


def _print_row(*cells: str) -> None:
    columns = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, (*WIDTHS, 8), strict=True)]
    for line in range(max(map(len, columns))):
        parts = [column[line] if line < len(column) else "" for column in columns]
        row = "  ".join(part.ljust(width) for part, width in zip(parts, (*WIDTHS, 8), strict=True))
        sys.stdout.write(row.rstrip() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
