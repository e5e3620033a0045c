"""The dashboard's page of languages, and the recordings that it plays."""

from __future__ import annotations

import re
from html import unescape

import pytest
from flask import Flask

from letstalk.telephony.recordings.builder import RECORDINGS_FOLDER
from letstalk.telephony.recordings.voices import PACKAGED_VOICES
from letstalk.telephony.speech.heard import heard_in
from letstalk.telephony.speech.languages import LANGUAGES
from letstalk.telephony.telnyx.voices import VOICES
from tests.support.apps import make_app
from tests.support.documents import ROOT
from tests.support.pages import Visitor, a_visitor

PAGE = "/dashboard/languages"
SOUND = b"RIFF" + bytes(range(200))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """With a recording of German, and with a secret beside the folder of recordings."""
    folder = tmp_path_factory.mktemp("languages")
    recordings = folder / "voices"
    (recordings / "de-DE").mkdir(parents=True)
    (recordings / "de-DE" / "example.wav").write_bytes(SOUND)
    (recordings / "de-DE" / "recordings.json").write_text("secret")
    (folder / "example.wav").write_text("secret")
    (recordings / "it-IT").symlink_to(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("letstalk.wiring_http.RECORDINGS_FOLDER", recordings)
        return make_app(folder, BRAND_NAME="Acme & Sons")


@pytest.fixture(scope="module")
def viewer(app: Flask) -> Visitor:
    """Somebody to whom no owner was granted."""
    return a_visitor(app, "vera", "viewer", owner_ids=())


@pytest.fixture(scope="module")
def sections(viewer: Visitor) -> dict[str, str]:
    """What the page has of each language, by its tag."""
    answer = viewer.get(PAGE)
    assert answer.status_code == 200
    parts = re.split(r'<details class="language" id="([^"]+)">', answer.text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_each_language_has_its_names_voice_countries_and_what_is_said(sections: dict[str, str]) -> None:
    assert sections.keys() == {language.tag for language in LANGUAGES}
    for language in LANGUAGES:
        section = unescape(sections[language.tag])
        assert language.name in section
        assert language.own_name in section
        assert VOICES[language.tag].name in section
        assert language.greeting.replace("{brand}", "Acme & Sons") in section
        assert section.count("4 9 0 2 7 1") == 2
    assert ">LI<" in sections["de-DE"]
    assert "it is spoken where a send asks for it" in sections["zu-ZA"]


def test_what_is_written_from_right_to_left_is_shown_so_and_nothing_else(sections: dict[str, str]) -> None:
    shown = {tag for tag, section in sections.items() if f'<blockquote lang="{tag}" dir="rtl">' in section}
    assert (
        shown
        == {language.tag for language in LANGUAGES if language.right_to_left}
        == {"ar-AE", "fa-IR", "he-IL", "ur-PK"}
    )


def test_what_nobody_measured_is_said_to_be_not_measured(sections: dict[str, str]) -> None:
    for tag, section in sections.items():
        heard = heard_in(tag)
        assert ("Not measured" in section) == (heard is None)
        assert heard is None or str(heard) in unescape(section)
    assert "99 of 100 [95-100 %]" in sections["en-US"]
    assert "Not measured" in sections["sw-KE"]


def test_a_recording_can_be_heard_and_where_there_is_none_the_page_says_how_to_make_it(
    sections: dict[str, str],
) -> None:
    assert '<audio controls preload="none" src="/dashboard/languages/de-DE/example.wav"' in sections["de-DE"]
    assert "pico de-DE (licence Apache-2.0)" in sections["de-DE"]
    for tag, section in sections.items():
        assert ("<audio" in section) == (tag == "de-DE")
        command = f"flask voices build {tag} --brand 'Acme & Sons'"
        assert (command in unescape(section)) == (tag in PACKAGED_VOICES and tag != "de-DE")
        assert ("No packaged voice with a free licence" in section) == (tag not in PACKAGED_VOICES)


def test_the_sound_is_served_in_parts_and_the_page_may_play_it(viewer: Visitor) -> None:
    whole = viewer.get(f"{PAGE}/de-DE/example.wav")
    part = viewer.client.get(f"{PAGE}/de-DE/example.wav", headers={"Range": "bytes=4-7"})

    assert (whole.status_code, whole.mimetype, whole.data) == (200, "audio/wav", SOUND)
    assert (part.status_code, part.data) == (206, bytes([0, 1, 2, 3]))
    assert "media-src 'self'" in viewer.get(PAGE).headers["Content-Security-Policy"]
    assert "public" not in whole.headers["Cache-Control"]
    whole.close()
    part.close()


@pytest.mark.parametrize(
    "name",
    [
        "en-US/example.wav",  # not recorded
        "it-IT/example.wav",  # a link out of the folder
        "de-DE/recordings.json",
        "de-de/example.wav",
        "xx-XX/example.wav",
        "../example.wav",
        "%2e%2e/example.wav",
        "..%2fvoices/example.wav",
        "de-DE%2f..%2f../example.wav",
        "de-DE/..%2f..%2fexample.wav",
        "%00/example.wav",
        "de-DE%00/example.wav",
    ],
)
def test_no_other_file_is_served(viewer: Visitor, name: str) -> None:
    answer = viewer.get(f"{PAGE}/{name}")

    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_a_stranger_sees_and_hears_nothing(app: Flask) -> None:
    for path in (PAGE, f"{PAGE}/de-DE/example.wav"):
        answer = app.test_client().get(path)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/sign-in")
        assert SOUND not in answer.data


def test_recordings_are_made_outside_the_repository() -> None:
    ours = [
        path for name in ("letstalk", "static", "templates", "docs", "tests") for path in (ROOT / name).rglob("*.wav")
    ]

    assert ours == []
    assert "instance/*" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert RECORDINGS_FOLDER == ROOT / "instance" / "voices"
