from __future__ import annotations

import json
import math
import os
import stat
import sys
import wave
from array import array
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from letstalk.telephony.recordings.builder import SENTENCE_PAUSE_MS, find_example
from letstalk.telephony.recordings.cli import make_commands
from letstalk.telephony.recordings.voices import PACKAGED_VOICES
from letstalk.telephony.speech.languages import supported_locales
from letstalk.telephony.speech.scripts import pauses_ms

# A voice that says everything as a tone of 440 Hz, and a tone of 7 kHz that no telephone carries.
ENGINE = f"""#!{sys.executable} -IS
import math, sys, wave
from array import array
file = sys.argv[sys.argv.index("-w") + 1]
tones = [440, 7000]
samples = array("h", (int(8000 * sum(math.sin(2 * math.pi * tone * n / 16000) for tone in tones)) for n in range(1600)))
with wave.open(file, "wb") as sound:
    sound.setnchannels(1); sound.setsampwidth(2); sound.setframerate(16000); sound.writeframes(samples.tobytes())
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(programs: Path, text: str = ENGINE) -> None:
    program = programs / "pico2wave"
    program.write_text(text, encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def run(*words: str) -> Result:
    return CliRunner().invoke(make_commands(), list(words))


def power_at(hertz: float, path: Path) -> float:
    with wave.open(str(path)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 8000)
        samples = array("h", sound.readframes(sound.getnframes()))
    middle = samples[200:-200]
    angles = [2 * math.pi * hertz * index / 8000 for index in range(len(middle))]
    return math.hypot(
        sum(sample * math.cos(angle) for sample, angle in zip(middle, angles, strict=True)),
        sum(sample * math.sin(angle) for sample, angle in zip(middle, angles, strict=True)),
    )


def test_a_language_is_recorded_for_a_telephone_with_its_licence(programs: Path, tmp_path: Path) -> None:
    install(programs)

    result = run("build", "es-US", "--folder", str(tmp_path / "es"), "--brand", "Banco 54")

    assert result.exit_code == 0, result.output
    assert "17 recordings" in result.output
    assert "Apache-2.0" in result.output
    assert sorted(path.stem for path in (tmp_path / "es" / "digits").iterdir()) == [*"0123456789"]
    assert "Apache-2.0" in (tmp_path / "es" / "LICENCE.txt").read_text(encoding="utf-8")
    about = json.loads((tmp_path / "es" / "recordings.json").read_text(encoding="utf-8"))
    assert about["texts"]["greeting"] == "Hola, le llama Banco 54."
    assert about["texts"]["digits/4"] == "4"
    # 7 kHz would fold to 1 kHz if it were not taken out first.
    heard = tmp_path / "es" / "digits" / "4.wav"
    assert power_at(440, heard) > 100 * power_at(1000, heard)


def test_the_example_is_a_whole_call_that_reads_its_code_twice(programs: Path, tmp_path: Path) -> None:
    install(programs)

    run("build", "es-US", "--folder", str(tmp_path / "es-US"))

    path = find_example(tmp_path, "es-US")
    assert path is not None
    with wave.open(str(path)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 8000)
        samples = array("h", sound.readframes(sound.getnframes()))
    # Each sound of ENGINE is a tenth of a second: five sentences and two readings of six digits.
    pauses = 2 * (4 * 250 + 500 + 500) + 4 * SENTENCE_PAUSE_MS
    assert len(samples) == 8 * (17 * 100 + pauses)
    assert pauses_ms(6) == (250, 250, 500, 250, 250, 500)


@pytest.mark.parametrize("tag", ["en-US", "es-us", "..", "../es-US", "es-US/../es-US", "/etc", "", "es-US\x00"])
def test_no_other_name_finds_an_example(tmp_path: Path, tag: str) -> None:
    example = tmp_path / "voices" / "es-US" / "example.wav"
    example.parent.mkdir(parents=True)
    example.write_bytes(b"RIFF")

    assert find_example(tmp_path / "voices", "es-US") == example.resolve()
    assert find_example(tmp_path / "voices", tag) is None


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(b"RIFF")
    (tmp_path / "voices" / "es-US").mkdir(parents=True)
    (tmp_path / "voices" / "es-US" / "example.wav").symlink_to(secret)
    (tmp_path / "voices" / "fr-FR").symlink_to(tmp_path)
    (tmp_path / "example.wav").write_bytes(b"RIFF")

    assert find_example(tmp_path / "voices", "es-US") is None
    assert find_example(tmp_path / "voices", "fr-FR") is None


def test_a_missing_program_is_named_with_where_it_comes_from(programs: Path, tmp_path: Path) -> None:
    result = run("build", "fr-FR", "--folder", str(tmp_path / "fr"))

    assert result.exit_code == 1
    assert "pico2wave is not installed: apt install libttspico-utils" in result.output
    assert not (tmp_path / "fr").exists()
    assert os.listdir(programs) == []


@pytest.mark.parametrize("engine", ["#!/bin/sh\nexit 3\n", "#!/bin/sh\nexit 0\n"])
def test_a_program_that_fails_is_named(programs: Path, tmp_path: Path, engine: str) -> None:
    install(programs, engine)

    result = run("build", "fr-FR", "--folder", str(tmp_path / "fr"))

    assert result.exit_code == 1
    assert "pico2wave could not speak" in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("language", ["sw-KE", "xx", "../../etc", "\x1b[31m"])
def test_a_language_without_a_free_voice_is_refused(programs: Path, language: str) -> None:
    result = run("build", language)

    assert result.exit_code == 1
    assert "No packaged voice with a free licence is known to be understood" in result.output
    assert "\x1b" not in result.output
    assert os.listdir(programs) == []


def test_the_list_names_each_voice_with_its_licence() -> None:
    listed = run("list").output

    assert PACKAGED_VOICES.keys() <= set(supported_locales())
    for tag, voice in PACKAGED_VOICES.items():
        assert tag in listed
        assert voice.licence in listed
