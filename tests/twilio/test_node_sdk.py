"""A program written for Twilio's SDK for Node, run by Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.documents import ROOT, read
from tests.support.services import needed, node_binary
from tests.twilio.conftest import PACKAGES
from tests.twilio.served import ACCOUNT, ServedVerify

MORE_INFO = "https://www.twilio.com/docs/errors/{}"


def run(folder: Path, modules: Path, verify: ServedVerify, phones: list[str]) -> dict[str, Any]:
    """What the program found."""
    shutil.copy(PACKAGES / "flow.mjs", folder)
    (folder / "node_modules").symlink_to(modules)
    [program_of_guide] = read(ROOT / "docs" / "connect" / "twilio.md").blocks("javascript")
    guide = program_of_guide.replace("http://127.0.0.1:5000", verify.base).replace("+12025550142", verify.phone())
    (folder / "guide.mjs").write_text(guide, encoding="utf-8")
    known = {"base": verify.base, "account": ACCOUNT, "token": verify.token, "phones": phones}
    environment = {**os.environ, "FLOW": json.dumps(known), "LETSTALK_TOKEN": verify.token}
    command = [str(needed("Node", node_binary())), "flow.mjs"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        for line in program.stdout:
            question = json.loads(line)
            if "found" in question:
                found: dict[str, Any] = question["found"]
                return found
            if "wait" in question:
                verify.clock.move(question["wait"])
            answer = verify.heard(question["heard"]) if "heard" in question else None
            program.stdin.write(f"{json.dumps(answer)}\n")
            program.stdin.flush()
    raise AssertionError("the program has ended early")


def refusal(code: int, status: int) -> dict[str, Any]:
    return {"name": "RestException", "status": status, "code": code, "moreInfo": MORE_INFO.format(code)}


def test_the_whole_flow(verify: ServedVerify, twilio_modules: Path, tmp_path: Path) -> None:
    phones = [verify.phone() for _ in range(5)]
    found = run(tmp_path, twilio_modules, verify, phones)
    assert found == {
        "guide": [["VE", "pending"]],
        "codeLength": 7,
        "wrong": "pending",
        "isSame": True,
        "isSameCode": True,
        "fetched": True,
        "right": ["approved", True, True],
        "used": refusal(20404, 404),
        "custom": "4711",
        "approved": "approved",
        "canceled": "canceled",
        "limited": refusal(20429, 429),
        "summary": [5, 3, "60.0"],
        "attempts": [phones[3], phones[2], phones[1], phones[0], phones[0]],
        "invalid": refusal(60200, 400),
        "stranger": refusal(20003, 401),
        "removed": True,
        "gone": refusal(20404, 404),
    }
