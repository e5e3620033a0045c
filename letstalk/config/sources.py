"""Where settings come from: the environment, `.env`, and the files that `NAME_FILE` points to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from dotenv.parser import parse_stream


class SettingsError(Exception):
    """A setting is wrong or missing. Its text is one line that names the setting, and holds no secret."""


def gather(
    names: Collection[str], secret_names: Collection[str], env: Mapping[str, str], env_file: Path | None, root: Path
) -> dict[str, str]:
    """The values given for `names`, by name; `env` wins over `env_file`, and an empty value counts as none.

    Those in `secret_names` may stand in a file that NAME_FILE points to; a relative path starts at `root`.
    Raises SettingsError for a file that can't be read, and for a secret given in both ways at one place.
    """
    values = _pick(read_env_file(env_file) if env_file else {}, names, secret_names, root)
    return values | _pick(env, names, secret_names, root)


def env_file_of(env: Mapping[str, str], root: Path) -> Path:
    """The file that ENV_FILE in `env` names, by default `root`/.env. Raises SettingsError for a name without a file."""
    named = env.get("ENV_FILE", "").strip()
    path = root / (named or ".env")
    if named and not path.exists():
        raise SettingsError("ENV_FILE names a file that does not exist")
    return path


def read_env_file(path: Path) -> dict[str, str]:
    """The lines of a `.env` by name, taken literally: `$` expands nothing. A missing file is an empty one."""
    values: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            for binding in parse_stream(file):
                if binding.error:
                    raise SettingsError(f"{path.name} wants NAME=value in line {binding.original.line}")
                if binding.key:
                    values[binding.key] = binding.value or ""
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path.name} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path.name} wants to be text in UTF-8") from None
    return values


def _pick(
    given: Mapping[str, str], names: Collection[str], secret_names: Collection[str], root: Path
) -> dict[str, str]:
    values = {name: given[name] for name in names if given.get(name, "").strip()}
    # A password may well begin or end with a space.
    values = {name: value if name in secret_names else value.strip() for name, value in values.items()}
    for name in secret_names:
        file_name = f"{name}_FILE"
        path = given.get(file_name, "").strip()
        if not path:
            continue
        if name in values:
            raise SettingsError(f"{name} and {file_name} are both set: give one of them")
        values[name] = _read_secret(file_name, root, path)
    return values


def _read_secret(file_name: str, root: Path, path: str) -> str:
    # No error quotes the path: whoever mistakes NAME_FILE for NAME has put the secret there.
    try:
        secret = (root / path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise SettingsError(f"{file_name} wants a file that can be read: {error.strerror}") from None
    except ValueError:
        raise SettingsError(f"{file_name} wants a text file in UTF-8") from None
    if not secret.strip():
        raise SettingsError(f"{file_name} wants a file with the secret in it, and this one is empty")
    return secret
