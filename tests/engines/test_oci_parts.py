"""The oci engine's pure parts: addresses, paths inside images, users, signals, resolvers, cgroup layouts."""

import signal
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from roost_server.domain import errors
from roost_server.domain.replica import Usage
from roost_server.engines.oci import cgroups, removing, rootfs
from roost_server.engines.oci.network import addresses
from roost_server.engines.oci.network.addresses import Addresses
from roost_server.engines.oci.process import hostfiles, seccomp, users

V2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate 0 0\n"
V1 = (
    "tmpfs /sys/fs/cgroup tmpfs ro 0 0\n"
    "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,relatime,cpu,cpuacct 0 0\n"
    "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n"
    "cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0\n"
    "cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,release_agent=/lib/systemd/agent,name=systemd 0 0\n"
)
HYBRID = V1 + "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n"


def test_a_range_is_chosen_that_no_route_overlaps() -> None:
    taken = [IPv4Network("10.0.0.0/8"), IPv4Network("172.18.0.0/15")]
    chosen = addresses.choose(taken, "seed")
    assert not any(chosen.overlaps(network) for network in taken)
    assert addresses.choose(taken, "seed") == chosen


def test_no_free_range_is_said_with_what_to_do() -> None:
    with pytest.raises(errors.Unavailable, match="ROOST_NETWORK_CIDR"):
        addresses.choose([IPv4Network("0.0.0.0/0")], "seed")


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "10.0.0.0/29", "10.0.0.1/24", "nonsense", "fd00::/64"])
def test_a_range_replicas_cannot_live_in_is_refused(cidr: str) -> None:
    with pytest.raises(errors.Invalid, match="network_cidr"):
        addresses.parse(cidr)


def test_addresses_go_round_before_one_is_used_again() -> None:
    given = Addresses(IPv4Network("10.1.0.0/29"))
    first = given.take()
    assert first == IPv4Address("10.1.0.2")
    given.release(first)
    assert given.take() == IPv4Address("10.1.0.3")
    rest = [given.take() for _ in range(4)]
    assert first in rest
    with pytest.raises(errors.Unavailable) as full:
        given.take()
    assert full.value.reason == "no_capacity"


def test_adopted_addresses_are_not_given_again() -> None:
    given = Addresses(IPv4Network("10.1.0.0/29"))
    given.adopt(IPv4Address("10.1.0.2"))
    given.adopt(IPv4Address("10.1.0.6"))
    assert {given.take() for _ in range(3)} == {IPv4Address(f"10.1.0.{last}") for last in (3, 4, 5)}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A root file system with links that lead out of it, if followed from outside."""
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    (root / "usr/bin/tool").write_text("")
    (root / "usr/bin/tool").chmod(0o755)
    (root / "usr/bin/absolute").symlink_to("/usr/bin/tool")
    (root / "usr/bin/data").write_text("")
    (root / "escape").symlink_to("../../../../../../../../etc")
    (root / "loop").symlink_to("loop")
    (root / "etc").mkdir()
    return root


def test_links_are_followed_inside_the_image_only(image: Path) -> None:
    assert rootfs.resolve(image, "/bin/absolute") == image / "usr/bin/tool"
    assert rootfs.resolve(image, "/escape") == image / "etc"
    assert rootfs.resolve(image, "/escape/hostname") is None
    assert rootfs.resolve(image, "/../../bin/tool") == image / "usr/bin/tool"
    assert rootfs.resolve(image, "/loop") is None


def test_a_command_is_looked_for_as_the_system_does(image: Path) -> None:
    assert rootfs.find_executable(image, "tool", "/sbin:/bin", "/") == "/bin/tool"
    assert rootfs.find_executable(image, "./tool", "", "/usr/bin") == "/usr/bin/./tool"
    assert rootfs.find_executable(image, "/bin/absolute", "", "/") == "/bin/absolute"
    assert rootfs.find_executable(image, "data", "/bin", "/") is None
    assert rootfs.find_executable(image, "tool", "/sbin", "/") is None


def test_without_passwd_only_numbers_and_root_are_users(image: Path) -> None:
    assert users.look_up(image, "").uid == 0
    assert users.look_up(image, "root").home == "/root"
    assert users.look_up(image, "12:34") == users.User(12, 34, [34], "/")
    with pytest.raises(errors.Invalid, match="/etc/passwd"):
        users.look_up(image, "agent")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("SIGTERM", signal.SIGTERM),
        ("int", signal.SIGINT),
        ("3", signal.SIGQUIT),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("", signal.SIGTERM),
        ("SIGNONSENSE", signal.SIGTERM),
        ("9999", signal.SIGTERM),
    ],
)
def test_stop_signals_are_names_or_numbers(name: str, number: int) -> None:
    assert removing.stop_signal(name) == number


@pytest.mark.parametrize(
    ("address", "reachable"),
    [("127.0.0.53", False), ("169.254.1.1", False), ("fd00::1", False), ("x", False), ("10.0.0.53", True)],
)
def test_resolvers_that_boxes_cannot_reach_are_left_out(address: str, reachable: bool) -> None:
    assert hostfiles.is_reachable_resolver(address) == reachable


@pytest.mark.parametrize(
    ("mounts", "mode", "controllers"),
    [
        (V1, "v1", {"cpu", "cpuacct", "memory", "pids", "name=systemd"}),
        (HYBRID, "hybrid", {"cpu", "cpuacct", "memory", "pids", "name=systemd"}),
        ("proc /proc proc rw 0 0\n", "none", set()),
    ],
)
def test_cgroup_layouts_are_recognised(mounts: str, mode: str, controllers: set[str]) -> None:
    found = cgroups.detect(mounts)
    assert found.mode == mode
    assert found.controllers() == controllers


def test_version_2_alone_is_recognised() -> None:
    assert cgroups.detect(V2).mode == "v2"


def test_the_system_calls_that_reach_beyond_a_box_are_refused() -> None:
    profile = seccomp.profile()
    assert profile is not None
    refused = {name for rule in profile["syscalls"] if "args" not in rule for name in rule["names"]}
    assert {"mount", "bpf", "kexec_load", "init_module", "unshare", "setns", "keyctl", "clone3"} <= refused


def a_cgroup(root: Path, **files: str) -> Path:
    """A controller's mount with the cgroup of one box; `__` in names stands for a dot."""
    box = root / "roost" / "box"
    box.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (box / name.replace("__", ".")).write_text(text)
    return root


V1_MEMORY = {"memory__usage_in_bytes": "5000\n", "memory__stat": "cache 9\ntotal_inactive_file 1000\n"}
V1_CPU = {"cpuacct__usage": "2500000000\n"}
V2_MEMORY = {"memory__current": "5000\n", "memory__stat": "anon 9\ninactive_file 1000\n"}
V2_CPU = {"cpu__stat": "usage_usec 2500000\nuser_usec 9\n"}


@pytest.mark.parametrize(
    ("v1", "unified"),
    [
        ({"memory": V1_MEMORY, "cpuacct": V1_CPU}, None),
        ({"memory": V1_MEMORY, "cpuacct": V1_CPU}, {}),
        ({}, {**V2_MEMORY, **V2_CPU}),
        ({"memory": V1_MEMORY}, V2_CPU),
        ({"cpuacct": V1_CPU}, V2_MEMORY),
    ],
    ids=["v1", "hybrid", "v2", "memory in v1", "cpu in v1"],
)
def test_usage_is_read_wherever_the_controllers_are(
    tmp_path: Path, v1: dict[str, dict[str, str]], unified: dict[str, str] | None
) -> None:
    mounts = {name: a_cgroup(tmp_path / name, **files) for name, files in v1.items()}
    whole = None if unified is None else a_cgroup(tmp_path / "unified", **unified)
    found = cgroups.Cgroups("roost", cgroups.Hierarchies(mounts, whole))
    assert found.usage("box") == Usage(cpu_seconds=2.5, memory_bytes=4000)
    assert found.usage("gone") is None
