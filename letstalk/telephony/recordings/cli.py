"""`flask voices`: recordings of the digits and sentences of a language, by a packaged voice with a free licence."""

from __future__ import annotations

from pathlib import Path

import click

from letstalk.observability.terminal import escape_controls, print_line, print_table
from letstalk.telephony.recordings.builder import RECORDINGS_FOLDER, RecordingFailed, build_recordings
from letstalk.telephony.recordings.voices import PACKAGED_VOICES
from letstalk.telephony.speech.languages import LANGUAGES

COLUMNS = ("LANGUAGE", "VOICE", "LICENCE", "FROM")


def make_commands() -> click.Group:
    # Not an AppGroup: it needs no settings and no database.
    group = click.Group("voices", help="Record the digits and sentences of a language, for an exchange of your own.")

    @group.command("list")
    def show_voices() -> None:
        """The languages that can be recorded, with their voices and licences."""
        rows = [(tag, voice.name, voice.licence, voice.install) for tag, voice in sorted(PACKAGED_VOICES.items())]
        print_table([COLUMNS, *rows])

    @group.command("build")
    @click.argument("language")
    @click.option("--folder", type=click.Path(path_type=Path), help="Default: instance/voices/LANGUAGE.")
    @click.option("--brand", default="Let's Talk", show_default=True, help="The caller's name in the greeting.")
    def build(language: str, folder: Path | None, brand: str) -> None:
        """Record LANGUAGE, such as es-US, into WAV files of 8 kHz. The dashboard's page of languages plays one."""
        voice = PACKAGED_VOICES.get(language)
        if voice is None:
            known = ", ".join(sorted(PACKAGED_VOICES))
            raise click.ClickException(
                f"No packaged voice with a free licence is known to be understood in {escape_controls(language)}. "
                f"Known: {known}."
            )
        sentences = next(each for each in LANGUAGES if each.tag == language)
        target = folder or RECORDINGS_FOLDER / language
        try:
            paths = build_recordings(sentences, voice, brand, target)
        except RecordingFailed as error:
            raise click.ClickException(escape_controls(str(error))) from None
        print_line(f"{len(paths)} recordings in {target}, by {voice.name}. Licence: {voice.licence}.")

    return group
