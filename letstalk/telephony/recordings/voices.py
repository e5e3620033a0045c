"""The packaged voices that recordings are made with: for each language one with a free licence that was measured and
understood (docs/ear.md). One that nobody measured, or whose licence forbids a use (Polish Magda: CC-BY-NC-ND), is not
in the list, and neither is Ukrainian Natalia, of whose codes 6 of 10 were understood.
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


def _rhvoice(name: str, speaker: str, licence: str, package: str) -> PackagedVoice:
    return PackagedVoice(
        name=f"RHVoice {name}",
        licence=licence,
        command=("RHVoice-test", "-p", speaker, "-i", "{input}", "-o", "{file}"),
        install=f"apt install rhvoice {package} (in Debian's non-free part)",
    )


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
    "pt-BR": _rhvoice("Leticia", "Leticia-F123", "CC-BY-SA-4.0", "rhvoice-brazilian-portuguese"),
    "ru-RU": _rhvoice("Elena", "Elena", "LGPL-2.1-or-later", "rhvoice-russian"),
}
