# Generated from aio/client.py by client/scripts/make_sync.py; change that file instead.
"""The client: a connection, and the nouns that live in its workspace."""

from types import TracebackType
from typing import Self

from roost import settings
from roost.flavors import Flavors
from roost.images import Images
from roost.runtimes import Runtimes
from roost.transport import Transport


class Roost:
    """A client of one workspace.

    What is not given is taken from ROOST_URL, ROOST_TOKEN, ROOST_ORG and ROOST_WORKSPACE, then from
    `~/.config/roost/config.toml`, which the server's first start and `roost login` write.
    `timeout` is how many seconds an ordinary answer may take; `retries` how often a request that failed on the way
    is sent again. Raises `SettingsError`.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        org: str | None = None,
        workspace: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 5,
    ) -> None:
        self.connection = settings.find(url, token, org, workspace)
        self._transport = Transport(self.connection, timeout, retries)
        self.runtimes = Runtimes(self._transport)
        self.images = Images(self._transport)
        self.flavors = Flavors(self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        self._transport.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.connection.url} {self.connection.org}/{self.connection.workspace}>"
