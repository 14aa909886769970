"""Many runtimes at once: what they cost the platform, and that all of them go again. Figures are printed."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from roost import Runtime
from support.installation import Installation, until

from e2e.stories import BUILTIN, envoy_pid

pytestmark = pytest.mark.slow

Say = Callable[[str], None]
CONTAINERS, SIMULATED = 100, 2000
AT_ONCE = 8
MIB = 1 << 20
ALLOWED_MIB = 5.0
IDLE_SECONDS = 10.0
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Prints a figure although the test passes."""

    def print_(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}", end="", flush=True)

    return print_


def memory(pids: Iterable[int]) -> int:
    """Bytes that processes take, each shared page counted once (PSS). One that has just ended takes none."""
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) << 10
    return total


def processes(*words: str) -> list[int]:
    """Those whose command line has all the words."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if all(word in said for word in words):
            found.append(int(process.name))
    return found


def of_replicas(roost: Installation) -> list[int]:
    """conmon and the init that Roost puts into each replica, its parent."""
    found = []
    for pid in processes("conmon", f"{roost.root}/"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            found += [pid, *map(int, children)]
    return found


def in_memory(roost: Installation) -> int:
    """Bytes of what the engine and runc keep of replicas in a file system in memory."""
    [folder] = roost.run.glob("oci-*")
    assert folder.is_mount()
    kept = os.statvfs(folder)
    return (kept.f_blocks - kept.f_bfree) * kept.f_frsize


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def idle_share(pids: Iterable[int]) -> float:
    """Percent of one core that processes take while nobody asks for anything."""
    pids = list(pids)
    began, before = time.monotonic(), sum(map(cpu_seconds, pids))
    until(lambda: time.monotonic() - began > IDLE_SECONDS)
    return 100 * (sum(map(cpu_seconds, pids)) - before) / (time.monotonic() - began)


def test_a_hundred_runtimes_live_at_once_and_cost_little(own: Callable[..., Installation], say: Say) -> None:
    roost = own().start()
    warm = roost.client.runtimes.create("warm", BUILTIN, memory_mb=64)
    before = taken(roost)

    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        created = list(threads.map(lambda n: create(roost, f"agent-{n}"), range(CONTAINERS)))
    say(f"{CONTAINERS} runtimes active in {time.monotonic() - began:.1f} s, {AT_ONCE} at a time")
    assert {runtime.status for runtime in roost.client.runtimes.list()} == {"active"}
    for runtime in created[:: CONTAINERS // 5]:
        assert runtime.exec(["printenv", "ROOST_RUNTIME_NAME"]).stdout.strip() == runtime.name

    now = taken(roost)
    each = {part: (now[part] - before[part]) / CONTAINERS / MIB for part in now}
    told = ", ".join(f"{part} {mib:.2f}" for part, mib in each.items())
    say(f"{sum(each.values()):.2f} MiB of the platform's memory per idle runtime: {told}")
    say(f"idle: {idle_share([roost.pid, envoy_pid(roost)]):.1f} % of one core")
    assert sum(each.values()) <= ALLOWED_MIB

    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda runtime: runtime.delete(), [*created, warm]))
    say(f"all deleted in {time.monotonic() - began:.1f} s\n")
    assert list(roost.client.runtimes.list()) == []
    assert roost.leftovers() == []


def create(roost: Installation, name: str) -> Runtime:
    return roost.client.runtimes.create(name, BUILTIN, memory_mb=64)


def taken(roost: Installation) -> dict[str, int]:
    """Bytes that the platform's parts take."""
    return {
        "server": memory([roost.pid]),
        "Envoy": memory([envoy_pid(roost)]),
        "conmon and init": memory(of_replicas(roost)),
        "state in memory": in_memory(roost),
    }


def counted(roost: Installation, status: str) -> int:
    """How many runtimes are in this status, by the server's metrics."""
    lines = httpx.get(f"{roost.url}/metrics", timeout=60, trust_env=False).text.splitlines()
    wanted = f'roost_runtimes{{status="{status}"}} '
    return next((int(float(line.removeprefix(wanted))) for line in lines if line.startswith(wanted)), 0)


def test_two_thousand_simulated_runtimes_become_active_with_a_real_gateway(
    own: Callable[..., Installation], say: Say
) -> None:
    roost = own(with_builtin=False, engine="simulated", gateway="envoy").start()
    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda n: roost.client.runtimes.create(f"agent-{n}", wait=False), range(SIMULATED)))
    say(f"{SIMULATED} runtimes asked for in {time.monotonic() - began:.1f} s")
    until(lambda: not any(roost.client.runtimes.list(status="creating")), 600)
    assert counted(roost, "active") == SIMULATED
    say(f"all active after {time.monotonic() - began:.1f} s")
    host = httpx.URL(roost.client.runtimes.get(f"agent-{SIMULATED - 1}").url).host
    answer = httpx.get(f"http://127.0.0.1:{roost.http_port}/", headers={"host": host}, timeout=60, trust_env=False)
    assert answer.status_code != 404
    share = idle_share([roost.pid, envoy_pid(roost)])
    say(f"idle: {share:.1f} % of one core; server and Envoy {memory([roost.pid, envoy_pid(roost)]) / MIB:.0f} MiB\n")
