"""Address ranges: each installation of a machine has its own, whenever and with whomever it starts."""

import random
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from typing import Any

import pytest
from roost_server.domain import errors
from roost_server.engines.oci.network import addresses
from roost_server.engines.oci.network.claim import claim, release

pytestmark = pytest.mark.slow

RANGES = [IPv4Network(f"10.199.{third}.0/24") for third in sorted(random.sample(range(256), 4))]


@pytest.fixture(autouse=True)
def _few_ranges(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(addresses, "CANDIDATES", RANGES)
    yield
    for each in RANGES:
        let_go(each)


def let_go(network: IPv4Network) -> None:
    """As `down` and a restart of the machine do."""
    subprocess.run(["ip", "address", "delete", f"{network[1]}/32", "dev", "lo"], capture_output=True)


def claimed(installation: str, **options: Any) -> IPv4Network:
    return claim(installation, f"rst{installation}", **{"asked": None, "kept": None, **options})


def test_installations_that_start_at_once_take_different_ranges() -> None:
    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(claimed, ["aaaaaa", "bbbbbb", "cccccc", "dddddd"])) == RANGES
    with pytest.raises(errors.Unavailable, match="cannot find a free address range"):
        claimed("eeeeee")


def test_one_that_starts_again_keeps_its_range() -> None:
    kept = claimed("aaaaaa")
    assert claimed("aaaaaa", kept=kept) == kept


def test_one_whose_address_has_no_name_yet_keeps_its_range() -> None:
    subprocess.run(["ip", "address", "add", f"{RANGES[3][1]}/32", "dev", "lo"], check=True)
    assert claimed("aaaaaa", kept=RANGES[3]) == RANGES[3]


def test_one_whose_range_somebody_took_while_it_was_down_takes_another() -> None:
    kept = claimed("aaaaaa")
    let_go(kept)
    assert claimed("bbbbbb", asked=kept) == kept
    assert claimed("aaaaaa", kept=kept) != kept


def test_after_a_restart_of_the_machine_the_same_range_is_taken_if_it_is_free() -> None:
    kept = claimed("aaaaaa")
    let_go(kept)
    assert claimed("aaaaaa", kept=kept) == kept


def test_who_releases_a_range_again_leaves_it_to_whom_it_is_by_now() -> None:
    range_ = claimed("aaaaaa")
    route = {"dst": str(range_), "type": "unreachable", "priority": 4_000_000_000}
    release("aaaaaa", range_, route)
    assert claimed("bbbbbb", asked=range_) == range_
    subprocess.run(["ip", "route", "add", "unreachable", str(range_), "metric", "4000000000"], check=True)
    release("aaaaaa", range_, route)
    assert (holder(range_), is_routed(range_)) == ("lo:bbbbbb", True)
    release("bbbbbb", range_, route)
    assert (holder(range_), is_routed(range_)) == (None, False)


def holder(network: IPv4Network) -> str | None:
    """The name under which its first address is on the loopback device."""
    said = subprocess.run(["ip", "-4", "-o", "address", "show", "dev", "lo"], capture_output=True, text=True).stdout
    words = next((line.split() for line in said.splitlines() if f" {network[1]}/32 " in line), None)
    return words[words.index("global") + 1].rstrip("\\") if words else None


def is_routed(network: IPv4Network) -> bool:
    said = subprocess.run(["ip", "-4", "route", "show"], capture_output=True, text=True).stdout
    return str(network) in said.split()


def test_a_range_of_another_installation_cannot_be_asked_for() -> None:
    taken = claimed("aaaaaa")
    with pytest.raises(errors.Unavailable, match=f"cannot use {taken}.*lo:aaaaaa.*ROOST_NETWORK_CIDR"):
        claimed("bbbbbb", asked=taken)
