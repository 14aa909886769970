"""Removing a box: stop signal, grace, kill, then everything it consisted of."""

import signal
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from roost_server.engines.oci.box import BoxState, Stage
from roost_server.engines.oci.host import Host
from roost_server.engines.oci.linux import processes

KILL_SECONDS = 10.0
MONITOR_SECONDS = 10.0
DEFAULT_STOP_SIGNAL = signal.SIGTERM

Call = Callable[[Callable[[], Any]], Awaitable[Any]]


async def remove(host: Host, state: BoxState, force: bool, call: Call) -> None:
    """`call` runs what blocks elsewhere."""
    if host.is_alive(state):
        await _end(host, state, force)
    host.states.put(state.with_stage(Stage.REMOVING))
    await call(partial(host.clear, state.id))


async def _end(host: Host, state: BoxState, force: bool) -> None:
    if state.init is not None:
        if not force and state.stop_grace_seconds > 0:
            processes.send(state.init, stop_signal(state.stop_signal))
            await processes.wait_ended(state.init, state.stop_grace_seconds)
        processes.send(state.init, signal.SIGKILL)
        await processes.wait_ended(state.init, KILL_SECONDS)
    if state.monitor is not None and not await processes.wait_ended(state.monitor, MONITOR_SECONDS):
        processes.send(state.monitor, signal.SIGKILL)
        await processes.wait_ended(state.monitor, KILL_SECONDS)


def stop_signal(name: str) -> int:
    """`SIGINT`, `INT` and `2` are the same. An image's unknown one is taken for SIGTERM."""
    if name.isdigit():
        return int(name) if 0 < int(name) <= signal.NSIG else DEFAULT_STOP_SIGNAL
    full = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
    if full.startswith("SIGRTMIN+") and full[9:].isdigit():
        return signal.SIGRTMIN + int(full[9:])
    return getattr(signal, full, DEFAULT_STOP_SIGNAL)
