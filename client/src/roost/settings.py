"""Where the server is and who asks: arguments, then ROOST_* variables, then the user's configuration file.

A token in the file belongs to the url in the file: it is not sent to another server that a variable or an
argument names.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from roost.errors import SettingsError

DEFAULT_URL = "http://127.0.0.1:7070"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
KEYS = ("url", "token", "org", "workspace")


@dataclass(frozen=True)
class Connection:
    """`url` has no trailing slash. `token` None means that none was found."""

    url: str = DEFAULT_URL
    token: str | None = field(default=None, repr=False)
    org: str = "default"
    workspace: str = "default"

    @property
    def base_path(self) -> str:
        return f"/api/v1/org/{self.org}/ws/{self.workspace}"

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, so that no proxy may stand between."""
        return urlsplit(self.url).hostname in LOOPBACK


def file_path(environ: Mapping[str, str] | None = None) -> Path:
    """`$XDG_CONFIG_HOME/roost/config.toml`, by default under ~/.config."""
    home = (os.environ if environ is None else environ).get("XDG_CONFIG_HOME")
    return Path(home or Path.home() / ".config") / "roost" / "config.toml"


def find(
    url: str | None = None,
    token: str | None = None,
    org: str | None = None,
    workspace: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Connection:
    """The connection to use. Raises `SettingsError` for a file or url that cannot be used."""
    environ = os.environ if environ is None else environ
    asked = {"url": url, "token": token, "org": org, "workspace": workspace}
    told = {key: asked[key] or environ.get(f"ROOST_{key.upper()}") or None for key in KEYS}
    kept = read_file(file_path(environ))
    if told["url"] and not _same_server(told["url"], kept.get("url", DEFAULT_URL)):
        kept.pop("token", None)
    chosen = {key: value for key, value in {**kept, **{k: v for k, v in told.items() if v}}.items() if value}
    return Connection(**{**chosen, "url": check_url(chosen.get("url", DEFAULT_URL))})


def read_file(path: Path) -> dict[str, str]:
    """What the file says; nothing when there is none. Raises `SettingsError`."""
    try:
        read = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"cannot read {path}: {error}", hint="mend or remove it, then `roost login`") from error
    wrong = [key for key in KEYS if not isinstance(read.get(key, ""), str)]
    if wrong:
        raise SettingsError(f"cannot use {path}: {wrong[0]} must be a string")
    return {key: read[key] for key in KEYS if key in read}


def check_url(url: str) -> str:
    """The url without its trailing slash. Raises `SettingsError` when it is not one of http or https."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f'cannot use "{url}" as the server\'s url: write it like {DEFAULT_URL}')
    return url.rstrip("/")


def _same_server(one: str, other: str) -> bool:
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme, "127.0.0.1" if host in LOOPBACK else host, parts.port
