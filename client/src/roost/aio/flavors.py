"""The flavors of the installation: named sizes of a replica. Only administrators change them."""

from collections.abc import AsyncIterator

from roost import calls, models
from roost.aio.transport import AsyncTransport


class AsyncFlavors:
    """Flavors are named by name or id."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def list(self) -> AsyncIterator[models.Flavor]:
        """All flavors, newest first."""
        return self._transport.items(models.Flavor, calls.get("/flavors", limit=100))

    async def get(self, name: str) -> models.Flavor:
        """One flavor. Raises `NotFoundError`."""
        return await self._transport.read(models.Flavor, calls.get(calls.path("flavors", name)))

    async def create(self, name: str, cpu_cores: float, memory_mb: int, description: str = "") -> models.Flavor:
        """A further size. Raises `AlreadyExistsError`, `ForbiddenError`, `ValidationError` for one too large."""
        body = {"name": name, "description": description, "cpu_cores": cpu_cores, "memory_mb": memory_mb}
        return await self._transport.read(models.Flavor, calls.create("/flavors", body))

    async def update(
        self,
        name: str,
        *,
        cpu_cores: float | None = None,
        memory_mb: int | None = None,
        description: str | None = None,
        expected_revision: int | None = None,
    ) -> models.Flavor:
        """Change what is given, for versions made from now on; those that were made keep their size.

        Raises `ForbiddenError`, `ValidationError`, `ConflictError` for a stale revision.
        """
        given = {"description": description, "cpu_cores": cpu_cores, "memory_mb": memory_mb}
        body = {field: value for field, value in given.items() if value is not None}
        call = calls.change(calls.path("flavors", name), body, expected_revision=expected_revision)
        return await self._transport.read(models.Flavor, call)

    async def delete(self, name: str, *, expected_revision: int | None = None) -> None:
        """Versions that were made of it go on as they are. Raises `NotFoundError`, `ForbiddenError`."""
        await self._transport.send(calls.delete(calls.path("flavors", name), expected_revision=expected_revision))
