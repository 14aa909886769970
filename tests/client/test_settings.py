"""Where the client finds the server, and whose token it sends there."""

from pathlib import Path

import pytest
from roost import SettingsError, settings


def home(folder: Path, text: str) -> dict[str, str]:
    (folder / "roost").mkdir()
    (folder / "roost/config.toml").write_text(text)
    return {"XDG_CONFIG_HOME": str(folder)}


def test_without_anything_it_is_this_machine(tmp_path: Path) -> None:
    found = settings.find(environ={"XDG_CONFIG_HOME": str(tmp_path)})
    assert (found.url, found.token, found.org, found.workspace) == ("http://127.0.0.1:7070", None, "default", "default")


def test_arguments_win_over_variables_and_variables_over_the_file(tmp_path: Path) -> None:
    environ = home(tmp_path, 'url = "http://file:1"\ntoken = "of-file"\norg = "file"\nworkspace = "file"')
    environ |= {"ROOST_ORG": "variable", "ROOST_WORKSPACE": "variable"}
    found = settings.find(org="argument", environ=environ)
    assert (found.url, found.token) == ("http://file:1", "of-file")
    assert (found.org, found.workspace) == ("argument", "variable")


def test_the_files_token_is_not_sent_to_another_server(tmp_path: Path) -> None:
    environ = home(tmp_path, 'url = "http://127.0.0.1:7070"\ntoken = "secret"')
    assert settings.find("http://elsewhere:7070", environ=environ).token is None
    assert settings.find("http://127.0.0.1:7071", environ=environ).token is None
    assert settings.find("http://localhost:7070/", environ=environ).token == "secret"


def test_the_token_is_not_shown() -> None:
    assert "secret" not in repr(settings.Connection(token="secret"))


@pytest.mark.parametrize("text", ["url = ", "token = 3", b"\xff\xfe".decode("latin-1")])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"config\.toml"):
        settings.find(environ=home(tmp_path, text))


@pytest.mark.parametrize("url", ["127.0.0.1:7070", "ftp://host", "http://", "server"])
def test_a_url_that_is_none_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot use"):
        settings.find(url, environ={"XDG_CONFIG_HOME": str(tmp_path)})
