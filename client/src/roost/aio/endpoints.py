"""Endpoints of a runtime: its URLs, which versions serve them, and who may call them."""

from collections.abc import Mapping
from typing import Any

from roost import calls, models, rollbacks, waiting
from roost.aio.handle import AsyncHandle
from roost.calls import Call
from roost.config import Access
from roost.waiting import Deadline


class AsyncEndpoints(AsyncHandle):
    """What a runtime can do with its endpoints, which are named by name or id.

    What changes one waits until it serves as it should, unless `wait=False`; the runtime's own fields are current
    afterwards. Waiting raises `RuntimeFailed` when a version does not start, and `WaitTimeout`. A change that is not
    about versions only waits until the gateway has it.
    """

    async def list_endpoints(self) -> list[models.Endpoint]:
        """Its endpoints, oldest first."""
        return [one async for one in self._transport.items(models.Endpoint, calls.get(self._path("endpoints")))]

    async def get_endpoint(self, endpoint: str) -> models.Endpoint:
        """One endpoint. Raises `NotFoundError`."""
        return await self._transport.read(models.Endpoint, calls.get(self._path("endpoints", endpoint)))

    async def default_endpoint(self) -> models.Endpoint:
        """The endpoint that the runtime's own URL leads to, as it is now."""
        return next(one for one in await self.list_endpoints() if one.default)

    async def create_endpoint(
        self,
        name: str,
        version: int | None = None,
        access: Access | None = None,
        *,
        wait: bool = True,
        timeout: float | None = 240.0,
    ) -> models.Endpoint:
        """A further URL, pinned to `version`, or following the latest. Raises `AlreadyExistsError`."""
        deadline = Deadline(timeout)
        body = {"name": name, "version": version} | ({} if access is None else {"access": access})
        call = calls.create(self._path("endpoints"), body, wait=_first(deadline, wait))
        return await self._settled(call, deadline, wait)

    async def update_endpoint(
        self,
        endpoint: str,
        *,
        version: int | None = None,
        follow: bool = False,
        split: Mapping[int, int] | None = None,
        default: bool = False,
        access: Access | None = None,
        expected_revision: int | None = None,
        wait: bool = True,
        timeout: float | None = 240.0,
    ) -> models.Endpoint:
        """Change what is given.

        `version` pins it, `follow` lets it follow the latest, `split` is percent by version; what serves goes on until
        the replicas for it are ready. `default` makes it the runtime's default endpoint; `access` replaces who may
        call it. Raises `ValidationError`, `ConflictError` for a stale revision.
        """
        body: dict[str, Any] = {"version": None} if follow else {}
        shares = None if split is None else [{"version": one, "weight": weight} for one, weight in split.items()]
        given = {"version": version, "split": shares, "default": default or None, "access": access}
        body |= {name: value for name, value in given.items() if value is not None}
        deadline = Deadline(timeout)
        path, first = self._path("endpoints", endpoint), _first(deadline, wait)
        call = calls.change(path, body, wait=first, expected_revision=expected_revision)
        return await self._settled(call, deadline, wait, re_points=bool(body.keys() & {"version", "split"}))

    async def rollback(
        self,
        to: int | None = None,
        endpoint: str | None = None,
        *,
        wait: bool = True,
        timeout: float | None = 240.0,
    ) -> models.Endpoint:
        """Pin an endpoint, by default the default one, to an earlier version.

        Without `to`: to the version that served before, which takes a moment while it is kept ready, or the one below.
        Raises `RoostError` when there is none.
        """
        found = await (self.default_endpoint() if endpoint is None else self.get_endpoint(endpoint))
        version = rollbacks.version_before(self.name, found) if to is None else to
        return await self.update_endpoint(found.id, version=version, wait=wait, timeout=timeout)

    async def start_endpoint(
        self, endpoint: str, *, wait: bool = True, timeout: float | None = 240.0
    ) -> models.Endpoint:
        """Let it serve again. Raises `NotFoundError`."""
        return await self._bring_endpoint_to("start", endpoint, wait, timeout)

    async def stop_endpoint(
        self, endpoint: str, *, wait: bool = True, timeout: float | None = 240.0
    ) -> models.Endpoint:
        """Let it answer 503 and give its replicas up, unless other endpoints need them. Raises `NotFoundError`."""
        return await self._bring_endpoint_to("stop", endpoint, wait, timeout)

    async def delete_endpoint(self, endpoint: str, *, expected_revision: int | None = None, wait: bool = True) -> None:
        """Its URL answers 404 from then on; with `wait`, at most 20 seconds are waited for the gateway to know.

        Raises `ConflictError` for the default one or a stale revision."""
        path, seconds = self._path("endpoints", endpoint), waiting.at_most(wait)
        await self._transport.send(calls.delete(path, wait=seconds, expected_revision=expected_revision))
        await self.refresh()

    async def _bring_endpoint_to(self, verb: str, endpoint: str, wait: bool, timeout: float | None) -> models.Endpoint:
        deadline = Deadline(timeout)
        path = self._path("endpoints", endpoint, verb)
        return await self._settled(calls.verb(path, wait=_first(deadline, wait)), deadline, wait)

    async def _settled(self, call: Call, deadline: Deadline, wait: bool, *, re_points: bool = True) -> models.Endpoint:
        """What the call answers; with `wait`, as it is once it has settled, or is routed if it was not re-pointed."""
        endpoint = await self._transport.read(models.Endpoint, call)
        while wait and not (endpoint.status in waiting.SETTLED if re_points else endpoint.routed):
            if deadline.slice() <= 0:
                raise waiting.endpoint_is_late(await self.refresh(), endpoint, deadline)
            path = self._path("endpoints", endpoint.id)
            endpoint = await self._transport.read(models.Endpoint, calls.get(path, wait=deadline.slice()))
        await self.refresh()
        if wait and re_points:
            waiting.check_endpoint(self, endpoint)
        return endpoint


def _first(deadline: Deadline, wait: bool) -> float:
    return deadline.slice() if wait else 0.0
