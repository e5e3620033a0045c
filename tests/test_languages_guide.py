"""`docs/languages.md` and the README list what calls speak, as it is."""

from __future__ import annotations

import re

from letstalk.telephony.speech.heard import heard_in
from letstalk.telephony.speech.languages import LANGUAGES, countries_of
from letstalk.telephony.telnyx.voices import VOICES
from tests.support.documents import ROOT
from tools.ear.figures import Share


def test_the_table_has_each_language_with_its_voice_and_countries() -> None:
    guide = (ROOT / "docs" / "languages.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in guide.splitlines() if "| `" in line]
    listed = {row[1].strip("`"): row for row in rows if len(row) == 6 and row[1] != "`locale`"}

    assert listed.keys() == {language.tag for language in LANGUAGES}
    for language in LANGUAGES:
        name, _, voice, countries, checked, ear = listed[language.tag]
        assert name == language.name
        assert voice == VOICES[language.tag].name
        assert countries == (" ".join(countries_of(language)) or "none: by `locale`")
        assert checked.startswith("rules")
        assert ear == str(heard_in(language.tag) or "not measured")


def test_the_figures_of_the_ear_have_their_intervals_and_are_in_its_report() -> None:
    report = (ROOT / "docs" / "ear.md").read_text(encoding="utf-8")
    heard = {language.tag: found for language in LANGUAGES if (found := heard_in(language.tag))}

    assert len(heard) == 10
    for tag, found in heard.items():
        share = Share(found.right, found.codes)
        assert str(share) == f"{found.right} of {found.codes} [{found.low}-{found.high} %]"
        rows = [line for line in report.splitlines() if str(share) in line]
        assert found.codes == 10 or rows, f"{tag}: {share} is not in docs/ear.md"


def test_the_readme_names_each_language() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Start")[0]
    named = set(re.findall(r"`([a-z]{2,3}-[A-Z]{2})`", readme))

    assert named == {language.tag for language in LANGUAGES}
