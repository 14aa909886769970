"""Who may act for a runtime: its service account, and the tokens that open its endpoints."""

from typing import Self

from roost import calls, models, waiting
from roost.aio.handle import AsyncHandle, OnChange
from roost.waiting import Deadline


class AsyncAccounts(AsyncHandle):
    """What a runtime can do with its service account and with the tokens of its endpoints."""

    async def service_account(self) -> models.ServiceAccount:
        """What its replicas prove with who they are. The secret is shown to them alone."""
        return await self._transport.read(models.ServiceAccount, calls.get(self._path("service-account")))

    async def reset_service_account(
        self, *, wait: bool = True, timeout: float | None = 240.0, on_change: OnChange[Self] | None = None
    ) -> models.ServiceAccount:
        """Replace the secret: the one before stops working at once, replicas are replaced without downtime.

        Raises `RuntimeFailed`, `WaitTimeout`.
        """
        deadline = Deadline(timeout, watched=on_change is not None)
        call = calls.verb(self._path("service-account", "reset"), wait=deadline.slice() if wait else 0.0)
        account = await self._transport.read(models.ServiceAccount, call)
        await self.refresh()
        if wait:
            await self.settle(deadline, on_change)
        return account

    async def create_endpoint_token(
        self, endpoint: str, name: str, *, expires_in_seconds: int | None = None, wait: bool = True
    ) -> models.NewEndpointToken:
        """A token for callers of an endpoint whose access mode is `token`; without a time it lasts until it is
        deleted. Its `token` is shown this once. With `wait`, at most 20 seconds are waited for the gateway to know it.

        Raises `AlreadyExistsError`."""
        body, seconds = {"name": name, "expires_in_seconds": expires_in_seconds}, waiting.at_most(wait)
        return await self._transport.read(
            models.NewEndpointToken, calls.create(self._tokens(endpoint), body, wait=seconds)
        )

    async def list_endpoint_tokens(self, endpoint: str) -> list[models.EndpointToken]:
        """The tokens of an endpoint, oldest first, without what is sent."""
        call = calls.get(self._tokens(endpoint))
        return [one async for one in self._transport.items(models.EndpointToken, call)]

    async def delete_endpoint_token(self, endpoint: str, token_id: str, *, wait: bool = True) -> None:
        """Whoever holds it is refused from then on; with `wait`, at most 20 seconds are waited for the gateway to know.

        Raises `NotFoundError`."""
        await self._transport.send(calls.delete(self._tokens(endpoint, token_id), wait=waiting.at_most(wait)))

    def _tokens(self, endpoint: str, *parts: str) -> str:
        return self._path("endpoints", endpoint, "tokens", *parts)
