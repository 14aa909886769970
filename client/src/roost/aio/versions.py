"""Versions of a runtime: its configuration, what it was before, and what changed."""

from collections.abc import AsyncIterator
from typing import Literal, Self

from roost import calls, models
from roost.aio.handle import AsyncHandle, OnChange
from roost.calls import Call
from roost.config import RuntimeConfig
from roost.waiting import Deadline


class AsyncVersions(AsyncHandle):
    """What a runtime can do with its versions."""

    async def get_config(self) -> RuntimeConfig:
        """The latest version's configuration, complete but for passwords."""
        answer: dict[str, RuntimeConfig] = (await self._transport.send(calls.get(self._path("config")))).json()
        return answer["config"]

    async def put_config(
        self,
        config: RuntimeConfig,
        *,
        apply: Literal["now", "next_start"] = "now",
        expected_revision: int | None = None,
        wait: bool = True,
        timeout: float | None = 240.0,
        on_change: OnChange[Self] | None = None,
    ) -> Self:
        """Replace the configuration: what is left out returns to its default. Always makes a new version.

        Endpoints that follow the latest serve it when it is ready, beside the old one until then. `next_start` only
        records it, for the next `start` or `restart`. Raises `ValidationError`, `ConflictError` for a stale revision,
        `RuntimeFailed`, `WaitTimeout`.
        """
        deadline = Deadline(timeout, watched=on_change is not None)
        headers, params = calls.if_match(expected_revision), {} if apply == "now" else {"apply": apply}
        await self._transport.send(Call("PUT", self._path("config"), params, json={"config": config}, headers=headers))
        await self.refresh()
        return await self.settle(deadline, on_change) if wait and apply == "now" else self

    def list_versions(self) -> AsyncIterator[models.Version]:
        """Its versions, newest first."""
        return self._transport.items(models.Version, calls.get(self._path("versions"), limit=100))

    async def get_version(self, number: int) -> models.Version:
        """One version. Raises `NotFoundError`."""
        return await self._transport.read(models.Version, calls.get(self._path("versions", str(number))))

    async def diff_versions(self, number: int, other: int | None = None) -> models.Difference:
        """What version `number` changed against `other`, by default the version before it. Raises `NotFoundError`."""
        other = max(1, number - 1) if other is None else other
        call = calls.get(self._path("versions", str(number), "diff"), other=other)
        return await self._transport.read(models.Difference, call)
