"""What an agent cannot do to others, to the host and to the platform, tried from inside."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from roost import Runtime
from support.installation import Installation, until

from e2e.stories import BUILTIN, agent, answers, whoami

pytestmark = pytest.mark.slow

Deploy = Callable[..., Runtime]
ROOT_ID = 231072


@pytest.fixture(scope="module")
def box(shared: Installation) -> Iterator[Runtime]:
    """One runtime to try from."""
    runtime = shared.client.runtimes.create("prisoner", **agent(memory_mb=256, disk_mb=64, cpus=1))
    yield runtime
    runtime.delete()


KNOCK = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor

def knock(target):
    try:
        socket.create_connection(tuple(target.split(":")), 2).close()
        print(target)
    except OSError:
        pass

list(ThreadPoolExecutor(50).map(knock, sys.argv[1:]))
"""


def reached(runtime: Runtime, *targets: str) -> list[str]:
    """Those of `address:port` to which a TCP connection from inside succeeds."""
    done = runtime.exec(["python3", "-c", KNOCK, *targets])
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout.split()


def host_addresses() -> list[str]:
    said = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
    return ["127.0.0.1", *(address for address in said if ":" not in address)]


def test_other_runtimes_are_out_of_reach(box: Runtime, deploy: Deploy) -> None:
    other = deploy(**agent())
    [replica] = other.list_replicas()
    assert answers(other)
    assert reached(box, "127.0.0.1:8080", f"{replica.address}:8080") == ["127.0.0.1:8080"]


def test_the_hosts_own_services_are_out_of_reach_but_for_the_api_at_the_replicas_door(
    own: Callable[..., Installation],
) -> None:
    open_to_all = own(api_host="0.0.0.0", http_host="0.0.0.0").start()
    box = open_to_all.client.runtimes.create("prisoner", **agent())
    gateway = box.exec("ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'").stdout.strip()
    ports = (open_to_all.api_port, open_to_all.http_port, open_to_all.https_port)
    targets = [f"{host}:{port}" for host in (gateway, *host_addresses()) for port in ports]
    assert reached(box, *targets) == [f"{gateway}:{open_to_all.api_port}"]
    metrics = f"http://{gateway}:{open_to_all.api_port}/metrics"
    assert box.exec(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", metrics]).stdout == "404"


def test_the_clouds_metadata_is_out_of_reach(box: Runtime) -> None:
    assert reached(box, "169.254.169.254:80", "169.254.1.1:80") == []


def test_root_inside_is_nobody_outside(box: Runtime) -> None:
    assert box.exec(["id", "-u"]).stdout.strip() == "0"
    assert box.exec(["cat", "/proc/self/uid_map"]).stdout.split()[:2] == ["0", str(ROOT_ID)]
    script = "import time; marker = 'escape-artist'; time.sleep(60)"
    box.exec(["sh", "-c", f'setsid python3 -c "{script}" >/dev/null 2>&1 &'])
    owner = until(lambda: _owner_of("escape-artist"))
    assert owner == ROOT_ID
    box.exec(["pkill", "-f", "escape-artist"])


def _owner_of(words: str) -> int | None:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            said, program = (process / "cmdline").read_bytes(), (process / "exe").readlink().name
            if words.encode() in said and "python" in program:
                return process.stat().st_uid
    return None


def test_no_program_gains_rights(box: Runtime) -> None:
    box.exec("cp /bin/cat /tmp/root-cat && chmod 4755 /tmp/root-cat")
    box.exec("echo secret > /tmp/only-root && chmod 600 /tmp/only-root")
    tried = box.exec(["/tmp/root-cat", "/tmp/only-root"], user="1000:1000")
    assert (tried.exit_code != 0, "secret" in tried.stdout) == (True, False)
    assert "NoNewPrivs:\t1" in box.exec(["cat", "/proc/1/status"]).stdout


@pytest.mark.parametrize(
    "attempt",
    [
        "mount -t tmpfs none /mnt",
        "mount -t proc proc /mnt",
        "umount /proc/sys",
        "echo 1 > /proc/sys/kernel/panic",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "echo b > /proc/sysrq-trigger",
        "mknod /tmp/disk b 254 0",
        "unshare --user --map-root-user true",
        "nsenter --target 1 --mount --net true && test -e /tmp/roost-e2e",
        "ip address add 10.0.0.1/8 dev eth0",
        "hostname somebody-else",
        "chroot /proc/1/root/../../.. test -e /work",
        "dmesg",
        "date -s 2001-01-01",
    ],
)
def test_root_has_no_power_over_the_host(box: Runtime, attempt: str) -> None:
    assert box.exec(["sh", "-c", attempt]).exit_code != 0


def test_a_fork_bomb_stays_inside(box: Runtime, deploy: Deploy) -> None:
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    victim = deploy(image=BUILTIN, command=["python3", "-c", SERVE], port=8080, config=FEW_PROCESSES)
    done = victim.exec(["python3", "-c", bomb], timeout=2)
    assert done.exit_code in (124, 137)
    until(lambda: victim.exec(["true"]).exit_code == 0)
    assert whoami(box)["replica"]


SERVE = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8080)"
FEW_PROCESSES = {"resources": {"max_processes": 50, "cpu_cores": 0.5}, "health": {"path": "/"}}


def test_a_full_disk_stays_inside(box: Runtime, deploy: Deploy) -> None:
    filled = box.exec("head -c 200M /dev/zero > /fill; echo $?; ls -s --block-size=M /fill", timeout=60)
    assert "No space left" in filled.stderr
    neighbour = deploy(**agent(disk_mb=64))
    assert neighbour.exec("head -c 20M /dev/zero > /fits").exit_code == 0
    assert box.exec(["rm", "/fill"]).exit_code == 0
    assert box.exec("echo fits again > /small").exit_code == 0


def test_eaten_memory_is_the_eaters_alone(box: Runtime, deploy: Deploy) -> None:
    eater = deploy(**agent(memory_mb=96))
    done = eater.exec(["python3", "-c", "x = b'x' * (300 << 20)"])
    assert done.exit_code == 137
    assert whoami(box)["replica"]


def test_processes_and_files_of_others_are_not_seen(box: Runtime, shared: Installation) -> None:
    assert "roost-server" not in box.exec(["ps", "-eo", "args"]).stdout
    mounts = box.exec(["cat", "/proc/self/mounts"]).stdout
    shown = [line.split()[1] for line in mounts.splitlines()]
    assert not [target for target in shown if target.startswith(str(shared.data))]
