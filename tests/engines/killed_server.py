"""A server that is killed, as by `kill -9`, right after it has done one named step of a create or a delete.

Run as a program by the tests: point, verb, replica id, data directory, run directory, root file system.
"""

import asyncio
import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import TinyImages, spec
from roost_server.engines.oci.engine import OciEngine
from roost_server.engines.oci.settings import OciSettings


def kill_after(point: str) -> None:
    """Replace what `point` (`module:name` within the engine) names by itself and the end of this process."""
    module_name, names = point.split(":")
    path = names.split(".")
    holder: Any = importlib.import_module(f"roost_server.engines.oci.{module_name}")
    for name in path[:-1]:
        holder = getattr(holder, name)
    setattr(holder, path[-1], _then_killed(getattr(holder, path[-1])))


def _then_killed(function: Callable[..., Any]) -> Callable[..., Any]:
    if asyncio.iscoroutinefunction(function):

        async def awaited(*args: Any, **kwargs: Any) -> None:
            await function(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)

        return awaited

    def called(*args: Any, **kwargs: Any) -> None:
        function(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    return called


async def main(point: str, verb: str, replica_id: str, data_dir: str, run_dir: str, root: str) -> None:
    engine = OciEngine(OciSettings(Path(data_dir), Path(run_dir)), TinyImages(Path(root)))
    await engine.start()
    kill_after(point)
    if verb == "create":
        await engine.create(spec(id=replica_id))
    else:
        await engine.delete(replica_id)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
