"""Observing a box: from its state, its processes and what its monitor wrote down. Nothing waits."""

from datetime import datetime

from roost_server.domain.replica import Box, BoxStatus
from roost_server.engines.oci.box import BoxState, Stage
from roost_server.engines.oci.host import Host
from roost_server.engines.oci.logs import logs

TAIL_LINES = 20


def observe(host: Host, state: BoxState) -> Box:
    """What the box is now."""
    if state.stage is not Stage.STARTED:
        return Box(id=state.id, status=BoxStatus.CREATED)
    if is_running(host, state):
        return _running(state)
    return _exited(host, state, exit_code(host, state.id))


def is_running(host: Host, state: BoxState) -> bool:
    """Whoever reads the exit code after this said no finds it: the monitor ends only when it has written it."""
    return state.stage is Stage.STARTED and exit_code(host, state.id) is None and host.is_alive(state)


def exit_code(host: Host, replica_id: str) -> int | None:
    """What conmon wrote: 128 + n for signal n. None while there is nothing."""
    try:
        text = host.exit_file(replica_id).read_text().strip()
    except FileNotFoundError:
        return None
    return int(text) if text.lstrip("-").isdigit() else None


def _running(state: BoxState) -> Box:
    return Box(
        id=state.id,
        status=BoxStatus.RUNNING,
        address=state.address,
        pid=state.init.pid if state.init else None,
        started_at=_time(state),
        phases=state.phases,
    )


def _exited(host: Host, state: BoxState, code: int | None) -> Box:
    """`code` is None when nobody was there to see it: the machine restarted, or the monitor was killed."""
    return Box(
        id=state.id,
        status=BoxStatus.EXITED,
        started_at=_time(state),
        exit_code=code,
        oom_killed=code != 0 and host.cgroups.oom_kills(state.id) > 0,
        log_tail=logs.tail(host.log(state), TAIL_LINES),
        phases=state.phases,
    )


def _time(state: BoxState) -> datetime | None:
    return datetime.fromisoformat(state.started_at) if state.started_at else None
