"""What a box cannot reach: other boxes, the host, link-local addresses, the kernel. And what it can: the outside."""

import asyncio
import errno
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from machine import OciSubject, TinyImages, spec
from roost_server.domain.exec import ExecResult
from roost_server.engines.oci import installation
from roost_server.engines.oci.network import firewall
from roost_server.engines.oci.settings import OciSettings
from support.waiting import eventually

pytestmark = pytest.mark.slow

SERVE = ["sh", "-c", "echo here > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
HOST_SIDE, OUTSIDE = "198.51.100.1", "198.51.100.2"
LINK_LOCAL = "169.254.77.77"
"""Not the one at which clouds serve credentials: the machine that runs the tests may need it."""


async def _fetch(oci: OciSubject, replica_id: str, address: str, port: int) -> ExecResult:
    request = "printf 'GET / HTTP/1.0\\r\\n\\r\\n'"
    return await oci.shell(replica_id, f"{request} | nc -w 1 {address} {port} | grep .", timeout_seconds=3)


async def _reaches(oci: OciSubject, replica_id: str, address: str, port: int) -> bool:
    return (await _fetch(oci, replica_id, address, port)).exit_code == 0


async def _answers(address: str, port: int) -> bool:
    """Whether the host itself gets an answer."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 1)
    except OSError:
        return False
    writer.close()
    return True


async def _output(*command: str) -> list[str]:
    """The words that a command of the host says."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return said.decode().split()


@pytest.fixture
async def host_port() -> AsyncIterator[int]:
    """A service of the host, on all its addresses."""
    async with _served() as port:
        yield port


@asynccontextmanager
async def _served() -> AsyncIterator[int]:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nthe host\n")
        writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _addresses_of_the_host(oci: OciSubject, replica_id: str) -> set[str]:
    """All IPv4 addresses, that in the boxes' network with them."""
    found = await oci.shell(replica_id, "ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'")
    named = await _output("hostname", "-I")
    return {found.stdout.decode().strip(), *(address for address in named if ":" not in address)}


@pytest.fixture
def outside() -> Iterator[str]:
    """Another machine: a network namespace behind a link, with a web server that knows no way back to boxes.

    The link goes first: with its namespace it would go at some time after the namespace's name."""
    name, link = "roost-outside", "roost-outsid-h"
    made = f"""
      ip netns add {name}
      ip link add {link} type veth peer name eth0 netns {name}
      ip addr add {HOST_SIDE}/30 dev {link}
      ip link set {link} up
      ip -n {name} addr add {OUTSIDE}/30 dev eth0
      ip -n {name} addr add {LINK_LOCAL}/32 dev eth0
      ip -n {name} link set eth0 up
      ip route add {LINK_LOCAL}/32 via {OUTSIDE}
    """
    try:
        subprocess.run(["sh", "-ec", made], check=True)
        server = subprocess.Popen(["ip", "netns", "exec", name, "busybox", "httpd", "-f", "-p", "80", "-h", "/etc"])
        yield OUTSIDE
        server.terminate()
        server.wait()
    finally:
        subprocess.run(["ip", "link", "delete", link])
        subprocess.run(["ip", "netns", "delete", name])


async def test_the_host_reaches_a_box(oci: OciSubject) -> None:
    box = await oci.engine.create(spec(*SERVE))
    await eventually(lambda: _answers(box.address, 8080))


async def test_a_box_does_not_reach_another(oci: OciSubject) -> None:
    server, client = await oci.engine.create(spec(*SERVE)), await oci.engine.create(spec())
    await eventually(lambda: _answers(server.address, 8080))
    assert await eventually(lambda: _reaches(oci, server.id, "127.0.0.1", 8080))
    assert not await _reaches(oci, client.id, server.address, 8080)


async def test_nobody_answers_for_a_box_that_is_gone(oci: OciSubject) -> None:
    box = await oci.engine.create(spec(*SERVE))
    await eventually(lambda: _answers(box.address, 8080))
    await oci.engine.delete(box.id, force=True)

    async def is_unreachable() -> bool:
        with pytest.raises(OSError) as refused:
            await asyncio.wait_for(asyncio.open_connection(box.address, 8080), 1)
        return refused.value.errno == errno.EHOSTUNREACH

    await eventually(is_unreachable)


async def test_a_box_does_not_reach_one_of_another_installation(oci: OciSubject, oci_settings: object) -> None:
    other = OciSubject(oci_settings(), oci.images)  # type: ignore[operator]
    await other.engine.start()
    try:
        server, client = await other.engine.create(spec(*SERVE)), await oci.engine.create(spec())
        await eventually(lambda: _answers(server.address, 8080))
        assert not await _reaches(oci, client.id, server.address, 8080)
    finally:
        await other.engine.destroy()
    assert (await oci.shell(client.id, "echo alive")).stdout == b"alive\n"


async def test_a_box_does_not_reach_the_hosts_services(oci: OciSubject, host_port: int) -> None:
    box = await oci.engine.create(spec())
    assert await eventually(lambda: _answers("127.0.0.1", host_port))
    for address in await _addresses_of_the_host(oci, box.id):
        assert not await _reaches(oci, box.id, address, host_port), address


async def test_a_box_reaches_the_one_port_that_is_opened_for_it_and_at_one_address_only(
    tiny_root: Path, oci_settings: Callable[..., OciSettings], host_port: int
) -> None:
    async with _served() as api_port, _started(tiny_root, oci_settings(api_port=api_port)) as oci:
        box = await oci.engine.create(spec())
        door = oci.engine.host_address()
        assert door is not None
        everywhere = await _addresses_of_the_host(oci, box.id)
        assert door in everywhere
        assert await eventually(lambda: _reaches(oci, box.id, door, api_port))
        others = {(address, port) for address in everywhere for port in (api_port, host_port)} - {(door, api_port)}
        assert [other for other in others if await _reaches(oci, box.id, *other)] == []


async def test_a_box_does_not_reach_what_is_opened_for_another_installation(
    tiny_root: Path, oci_settings: Callable[..., OciSettings]
) -> None:
    async with (
        _served() as api_port,
        _started(tiny_root, oci_settings(api_port=api_port)) as one,
        _started(tiny_root, oci_settings(api_port=api_port)) as other,
    ):
        box = await one.engine.create(spec())
        own, others = one.engine.host_address(), other.engine.host_address()
        assert own and others and own != others
        assert await eventually(lambda: _reaches(one, box.id, own, api_port))
        assert not await _reaches(one, box.id, others, api_port)


async def test_another_machine_does_not_reach_what_is_opened_for_boxes(
    tiny_root: Path, oci_settings: Callable[..., OciSettings], outside: str
) -> None:
    async with _served() as api_port, _started(tiny_root, oci_settings(api_port=api_port)) as oci:
        door = oci.engine.host_address()
        assert door is not None and await eventually(lambda: _answers(door, api_port))
        inside = ["ip", "netns", "exec", "roost-outside"]
        await _output(*inside, "ip", "route", "add", door, "via", HOST_SIDE)

        async def asked(address: str) -> list[str]:
            return await _output(*inside, "sh", "-c", f"echo | busybox nc -w 2 {address} {api_port}")

        assert await eventually(lambda: asked(HOST_SIDE)) == ["HTTP/1.0", "200", "OK", "the", "host"]
        assert await asked(door) == []


async def test_what_was_opened_stays_so_when_somebody_flushes_the_firewall(
    tiny_root: Path, oci_settings: Callable[..., OciSettings]
) -> None:
    async with _served() as api_port, _started(tiny_root, oci_settings(api_port=api_port)) as oci:
        box = await oci.engine.create(spec())
        place = installation.existing(oci.settings)
        assert place is not None
        await _output("nft", "delete", "table", "inet", place.table)
        assert not firewall.is_in_place(place)
        await oci.begin_again()
        assert await eventually(lambda: _reaches(oci, box.id, str(place.host_address), api_port))


@asynccontextmanager
async def _started(root: Path, settings: OciSettings) -> AsyncIterator[OciSubject]:
    subject = OciSubject(settings, TinyImages(root))
    await subject.engine.start()
    try:
        yield subject
    finally:
        await subject.engine.destroy()


async def test_nobody_else_of_the_host_reads_a_boxs_variables(oci: OciSubject) -> None:
    box = await oci.engine.create(spec(env={"CLIENT_SECRET": "roost_sa_not-for-others"}))
    assert b"roost_sa_not-for-others" in (await oci.shell(box.id, "env")).stdout
    place = installation.existing(oci.settings)
    assert place is not None
    for folder in (place.data, place.run):
        holding = await _output("grep", "-rlsI", "roost_sa_not-for-others", str(folder), "--exclude-dir=rootfs")
        assert holding == ([str(place.bundle(box.id) / "config.json")] if folder == place.run else [])
    assert (place.bundle(box.id) / "config.json").stat().st_mode & 0o777 == 0o600
    assert "roost_sa_not-for-others" not in " ".join(await _output("ps", "-eo", "args"))


async def test_a_box_reaches_the_outside_under_the_hosts_address(oci: OciSubject, outside: str) -> None:
    box = await oci.engine.create(spec())
    await eventually(lambda: _answers(OUTSIDE, 80))

    async def said() -> bytes:
        return (await _fetch(oci, box.id, OUTSIDE, 80)).stdout

    assert b"HTTP/1.1" in await eventually(said)


async def test_a_box_does_not_reach_link_local_addresses(oci: OciSubject, outside: str) -> None:
    box = await oci.engine.create(spec())
    await eventually(lambda: _answers(LINK_LOCAL, 80))
    assert not await _reaches(oci, box.id, LINK_LOCAL, 80)


async def test_a_link_left_over_does_not_stop_a_box(oci: OciSubject) -> None:
    first = await oci.engine.create(spec())
    place = installation.existing(oci.settings)
    assert place is not None and first.address is not None
    number = int(IPv4Address(first.address)) - int(place.network.network_address)
    await _output("ip", "link", "add", f"{place.veth_prefix}{number + 1:04x}", "type", "veth", "peer", "name", "left")
    second = await oci.engine.create(spec(*SERVE))
    assert int(IPv4Address(second.address)) == int(IPv4Address(first.address)) + 1
    await eventually(lambda: _answers(second.address, 8080))


async def test_a_box_speaks_no_ipv6(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    assert b"inet6" not in (await oci.shell(box.id, "ip addr")).stdout


async def test_root_of_a_box_is_nobody_on_the_host(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    uids = await _output("grep", "^Uid:", f"/proc/{box.pid}/status")
    assert set(uids[1:]) == {str(oci.settings.id_map_start)}


@pytest.mark.parametrize(
    "attempt",
    [
        "mount -t tmpfs none /tmp",
        "umount /proc/sys",
        "unshare -r true",
        "mknod /tmp/disk b 254 0",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "echo c > /proc/sysrq-trigger",
        "ip link set eth0 down",
        "ip addr add 10.0.0.1/8 dev eth0",
        "hostname other",
        "adjtimex -t 10001",
        "echo 1 > $(ls /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max)",
        "cat /proc/kcore > /dev/null && test -s /proc/kcore",
        "ping -c 1 -W 1 127.0.0.1 -I lo && swapoff -a && false",
        "echo 0 > /proc/1/oom_score_adj && chroot / nsenter -t 1 -m true",
        "test -e /dev/sda || test -e /dev/vda || test -e /dev/kmsg",
    ],
)
async def test_root_of_a_box_has_no_power_beyond_it(oci: OciSubject, attempt: str) -> None:
    box = await oci.engine.create(spec())
    assert (await oci.shell(box.id, attempt)).exit_code != 0


async def test_a_box_sees_only_its_own_processes_and_interfaces(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    assert b"roost" not in (await oci.shell(box.id, "ls /proc/[0-9]*/cmdline | wc -l; ls /sys/class/net")).stdout
    assert set((await oci.shell(box.id, "ls /sys/class/net")).stdout.split()) == {b"eth0", b"lo"}


async def test_no_process_of_a_box_may_gain_privileges(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    execed = await _powers(oci, box.id, "self")
    assert b"NoNewPrivs:\t1" in execed and b"Seccomp:\t2" in execed

    async def begins_with_the_same() -> bool:
        """From its first own instruction on: what runc does before that is not the box's."""
        return await _powers(oci, box.id, "1") == execed

    await eventually(begins_with_the_same)


async def _powers(oci: OciSubject, replica_id: str, process: str) -> bytes:
    """What the kernel lets a process of the box do."""
    found = await oci.shell(replica_id, f"grep -E 'NoNewPrivs|Seccomp:|CapBnd' /proc/{process}/status")
    return found.stdout
