"""The client: a connection, and the nouns that live in its workspace."""

from types import TracebackType
from typing import Self

from roost import settings
from roost.aio.flavors import AsyncFlavors
from roost.aio.images import AsyncImages
from roost.aio.runtimes import AsyncRuntimes
from roost.aio.transport import AsyncTransport


class AsyncRoost:
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
        self._transport = AsyncTransport(self.connection, timeout, retries)
        self.runtimes = AsyncRuntimes(self._transport)
        self.images = AsyncImages(self._transport)
        self.flavors = AsyncFlavors(self._transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. A second call does nothing."""
        await self._transport.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.connection.url} {self.connection.org}/{self.connection.workspace}>"
