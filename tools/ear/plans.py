"""What is heard in a run, and what a run must show: the gates, and the controls that must fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tools.ear import scripts
from tools.ear.figures import Share, share_of
from tools.ear.line import BABBLE_10, BABBLE_20, CLEAN, LOSS, STREET_10, Condition
from tools.ear.trials import Laboratory, Trial, make_codes
from tools.ear.voices import Voice

CODES, FEW_CODES = 100, 40
SHORT_CODES, SHORT_FEW_CODES = 20, 10
CONDITIONS = (CLEAN, LOSS, BABBLE_20, BABBLE_10)
# Ear B knows these languages: at least two voices say their digits.
GATED_LANGUAGES = ("es-US", "fr-FR", "pt-BR", "de-DE")
OTHER_LANGUAGES = (*GATED_LANGUAGES, "it-IT", "ru-RU", "pl-PL", "uk-UA", "sw-KE")
LANGUAGES_OF_B = frozenset({"en-US", "es-US", "fr-FR", "it-IT", "ru-RU", "sw-KE"})


@dataclass(frozen=True, slots=True)
class Check:
    """One gate or control. `is_control` is true where the ear must do badly."""

    name: str
    wanted: str
    measured: str
    holds: bool
    is_control: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """The trials of a run, in groups that the report has a table for, and the voices that could not be had."""

    trials: dict[str, list[Trial]]
    not_heard: list[str]


def run(laboratory: Laboratory, *, size: str, tell: Callable[[str], None]) -> Run:
    """All trials. `size` is "short" (few codes), "" or "all": also other systems' scripts, candidates for a better one
    of ours, and more languages.
    """
    everything = size == "all"
    trials: dict[str, list[Trial]] = {}

    def hear(group: str, voices: list[Voice], script: scripts.Script, condition: Condition, codes: list[str]) -> None:
        if not voices:
            return
        with_b = voices[0].language in LANGUAGES_OF_B and condition in (CLEAN, BABBLE_10)
        trials.setdefault(group, []).extend(laboratory.run(voices, script, condition, codes, with_b=with_b))
        share = share_of([trial.is_right_a for trial in trials[group][-len(codes) :]])
        tell(f"{group}: {script.name}, {condition.name}, {', '.join(voice.name for voice in voices)}: {share}")

    codes = make_codes(SHORT_CODES if size == "short" else CODES)
    few = make_codes(SHORT_FEW_CODES if size == "short" else FEW_CODES)
    with_zero = make_codes(len(few), with_digit="0")
    english = _voices(laboratory, "en-US", is_person=False)
    for condition in CONDITIONS:
        hear("English", english, scripts.OURS, condition, codes)
    hear("English", english, scripts.RUN_ON, LOSS, codes)
    hear("zero", english, scripts.OURS, CLEAN, with_zero)
    hear("zero", english, scripts.OH, CLEAN, with_zero)
    trials["silence"] = laboratory.hear_silence(english[0], CLEAN, few[:10])
    for language in OTHER_LANGUAGES if everything else GATED_LANGUAGES:
        hear("people", _voices(laboratory, language, is_person=True), scripts.OURS, CLEAN, few)
    hear("people", _voices(laboratory, "en-US", is_person=True), scripts.OURS, CLEAN, few)
    for language in OTHER_LANGUAGES if everything else GATED_LANGUAGES:
        for voice in _voices(laboratory, language, is_person=False):
            hear("languages", [voice], scripts.OURS, CLEAN, few)
    if everything:
        for condition in (*CONDITIONS, STREET_10):
            for script in (scripts.OURS, *scripts.OTHERS):
                if (script.name, condition.name) not in {(t.script, t.condition) for t in trials["English"]}:
                    hear("English", english, script, condition, codes)
        for script in scripts.CANDIDATES:
            for condition in (CLEAN, LOSS, BABBLE_10):
                hear("candidates", english, script, condition, codes)
        for voice in _voices(laboratory, "de-DE", is_person=False):
            for script in (scripts.CANDIDATES[0], scripts.CANDIDATES[-1]):
                hear("languages", [voice], script, CLEAN, few)
    languages = {voice.language for voice in laboratory.voices}
    return Run(trials, [language for language in OTHER_LANGUAGES if language not in languages])


def _voices(laboratory: Laboratory, language: str, *, is_person: bool) -> list[Voice]:
    return [voice for voice in laboratory.voices if voice.language == language and voice.is_person == is_person]


def of(trials: list[Trial], **wanted: str) -> list[Trial]:
    """Those whose fields are as `wanted`."""
    return [trial for trial in trials if all(getattr(trial, name) == value for name, value in wanted.items())]


def right_a(trials: list[Trial]) -> Share:
    return share_of([trial.is_right_a for trial in trials])


def right_b(trials: list[Trial]) -> Share:
    return share_of([trial.is_right_b for trial in trials])


def checks_of(found: Run) -> list[Check]:
    """The gates of issue 21, and the controls. A gate that could not be tried for lack of a voice does not hold."""
    english = found.trials["English"]
    checks = []
    for condition, least in ((CLEAN, 98), (LOSS, 94), (BABBLE_20, 90)):
        share = right_a(of(english, script="ours", condition=condition.name))
        checks.append(_at_least(f"English, {condition.name}", share, least, 100))
    people = found.trials.get("people", [])
    checks.append(_at_least("English, a person's digits", right_a(of(people, language="en-US")), 38, 40))
    for language, name in (("es-US", "Spanish"), ("fr-FR", "French"), ("pt-BR", "Portuguese")):
        checks.append(_at_least(f"{name}, its best voice", _best(found, language), 38, 40))
    for script in scripts.OTHERS:
        for condition in (*CONDITIONS, STREET_10):
            theirs = of(english, script=script.name, condition=condition.name)
            ours = of(english, script="ours", condition=condition.name)
            if theirs:
                points = right_a(ours).percent - right_a(theirs).percent
                name = f"ours beside {script.name}, {condition.name}"
                checks.append(Check(name, "at least -5 points", f"{points:+.0f} points", points >= -5))
    zero = found.trials["zero"]
    checks += [
        _at_most("“oh” for zero", right_a(of(zero, script="oh")), 75),
        _at_most("run-on digits, loss 10 %", right_a(of(english, script="run-on", condition=LOSS.name)), 92),
        _at_most("silence", right_a(found.trials["silence"]), 0),
        _at_most("another code than was said", _crossed(of(english, script="ours", condition=CLEAN.name)), 0),
    ]
    return checks


def _best(found: Run, language: str) -> Share:
    """The share of the voice of `language` that is understood best on a clean line."""
    heard = [t for group in ("people", "languages") for t in found.trials.get(group, []) if t.language == language]
    heard = of(heard, script="ours", condition=CLEAN.name)
    shares = [right_a(of(heard, voice=voice)) for voice in sorted({trial.voice for trial in heard})]
    return max(shares, key=lambda share: share.percent, default=Share(0, 0))


def _crossed(trials: list[Trial]) -> Share:
    """How often what was heard is the code of the next trial."""
    return share_of([a.heard_a == b.code for a, b in zip(trials, trials[1:] + trials[:1], strict=True)])


def _at_least(name: str, share: Share, least: int, of_trials: int) -> Check:
    holds = share.trials > 0 and share.hits * of_trials >= least * share.trials
    return Check(name, f"at least {least} of {of_trials}", str(share), holds)


def _at_most(name: str, share: Share, percent: int) -> Check:
    holds = share.trials > 0 and share.percent <= percent
    return Check(name, f"at most {percent} %", str(share), holds, is_control=True)
