"""The packaged voices that recordings are made with: for each language the one with a free licence that was understood
best (docs/ear.md). A voice that nobody measured, or whose licence forbids a use, is not in the list.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PackagedVoice:
    """`command` writes the file {file} with what the file {input}, or the argument {text}, says.

    `install` says where the program comes from.
    """

    name: str
    licence: str
    command: tuple[str, ...]
    install: str

    @property
    def program(self) -> str:
        return self.command[0]


def _pico(tag: str) -> PackagedVoice:
    return PackagedVoice(
        name=f"pico {tag}",
        licence="Apache-2.0",
        command=("pico2wave", "-l", tag, "-w", "{file}", "{text}"),
        install="apt install libttspico-utils (in Debian's non-free part, because the voices have no source)",
    )


# By the tag of the language in speech/languages.
PACKAGED_VOICES: dict[str, PackagedVoice] = {
    "en-US": PackagedVoice(
        name="hibari heart",
        licence="Apache-2.0",
        command=("hibari", "{text}", "-o", "{file}"),
        install="pip install hibari-tts, in a virtual environment of its own",
    ),
    "de-DE": _pico("de-DE"),
    "es-ES": _pico("es-ES"),
    "es-MX": _pico("es-ES"),
    "es-US": _pico("es-ES"),
    "fr-CA": _pico("fr-FR"),
    "fr-FR": _pico("fr-FR"),
    "it-IT": _pico("it-IT"),
    "pt-BR": PackagedVoice(
        name="RHVoice Leticia",
        licence="CC-BY-SA-4.0",
        command=("RHVoice-test", "-p", "Leticia-F123", "-i", "{input}", "-o", "{file}"),
        install="apt install rhvoice rhvoice-brazilian-portuguese (in Debian's non-free part)",
    ),
}
