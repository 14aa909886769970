"""Measurements of a runtime: what its replicas used and what its endpoints answered, as series."""

from roost import logs, models
from roost.aio.handle import AsyncHandle
from roost.calls import Call
from roost.logs import Moment


class AsyncMeasurements(AsyncHandle):
    """What a runtime can tell of how it does."""

    async def metrics(
        self,
        *,
        since: Moment = "1h",
        until: Moment | None = None,
        step_seconds: int | None = None,
        endpoint: str | None = None,
    ) -> models.Metrics:
        """Series of each replica, and of each version behind each endpoint; with `endpoint`, of that one and of the
        replicas behind it.

        Steps are made larger when more than 1,000 points would come of it. Raises `ValidationError`.
        """
        path = self._path("metrics") if endpoint is None else self._path("endpoints", endpoint, "metrics")
        wanted = {"from": logs.moment(since).isoformat(), "step_seconds": step_seconds}
        if until is not None:
            wanted["to"] = logs.moment(until).isoformat()
        params = {name: value for name, value in wanted.items() if value is not None}
        return await self._transport.read(models.Metrics, Call("GET", path, params, repeatable=True))
