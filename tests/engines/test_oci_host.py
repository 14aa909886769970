"""The host: its doctor, and a firewall that comes back."""

import asyncio
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from machine import OciSubject, TinyImages, spec
from roost_server.domain import errors
from roost_server.engines.oci import doctor, engine, installation
from roost_server.engines.oci.engine import OciEngine
from roost_server.engines.oci.network import firewall
from roost_server.engines.oci.settings import OciSettings
from support.waiting import eventually


def test_the_doctor_names_what_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    settings = OciSettings(tmp_path, closed / "run", runtime="no-such-runtime", init=Path("/no/such/init"))
    findings = {finding.name: finding for finding in doctor.check(settings)}
    assert findings["no-such-runtime"].fix == "apt-get install no-such-runtime"
    assert findings["init"].fix == "apt-get install catatonit"
    assert "chmod o+x" in findings["run directory"].fix
    for finding in findings.values():
        assert finding.ok == (finding.fix == "")
        assert finding.message


@pytest.mark.slow
async def test_the_doctor_finds_nothing_wrong_where_boxes_run(oci: OciSubject) -> None:
    await oci.engine.create(spec())
    findings = await asyncio.to_thread(doctor.check, oci.settings)
    assert [finding for finding in findings if not finding.ok] == []


@pytest.mark.slow
async def test_a_flushed_firewall_comes_back(oci: OciSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "TEND_SECONDS", 0.01)
    await oci.begin_again()
    place = installation.existing(oci.settings)
    assert place is not None
    await asyncio.to_thread(subprocess.run, ["nft", "delete", "table", "inet", place.table], check=True)
    await eventually(lambda: asyncio.to_thread(firewall.is_in_place, place))


@pytest.mark.slow
async def test_the_firewall_of_an_installation_that_is_taken_down_does_not_come_back(
    tiny_root: Path, oci_settings: Callable[..., OciSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TEND_SECONDS", 0.0)
    oci = OciSubject(oci_settings(), TinyImages(tiny_root))
    await oci.engine.start()
    place = installation.existing(oci.settings)
    assert place is not None
    await oci.engine.destroy()
    tables = await asyncio.to_thread(subprocess.check_output, ["nft", "list", "tables"], text=True)
    assert place.table not in tables


@pytest.mark.slow
async def test_a_firewall_that_cannot_be_put_back_now_is_put_back_later(
    oci: OciSubject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engine, "TEND_SECONDS", 0.01)
    place = installation.existing(oci.settings)
    assert place is not None
    (tmp_path / "nft").write_text(f"#!/bin/sh\n[ $1 = list ] || touch {tmp_path}/refused\nexit 1\n")
    (tmp_path / "nft").chmod(0o755)
    await oci.begin_again()
    with monkeypatch.context() as broken:
        broken.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        await eventually(lambda: asyncio.to_thread((tmp_path / "refused").exists))
    await asyncio.to_thread(subprocess.run, ["nft", "delete", "table", "inet", place.table], check=True)
    await eventually(lambda: asyncio.to_thread(firewall.is_in_place, place))


DROPPING = """#!/bin/sh
# an iptables of a host that drops what it does not know, and that is busy the first time it is to change something
case "$2" in
    -S) echo "-P $3 DROP"; cat {folder}/rules ;;
    -I) if [ -e {folder}/busy ]; then rm {folder}/busy; exit 4; fi; shift 2; echo "-A $*" >> {folder}/rules ;;
esac
"""


def test_a_busy_firewall_of_the_host_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules").touch()
    (tmp_path / "busy").touch()
    (tmp_path / "iptables").write_text(DROPPING.format(folder=tmp_path))
    (tmp_path / "iptables").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    place = installation.Installation("1a2b3c", IPv4Network("10.199.0.0/16"), tmp_path, tmp_path)
    firewall.pass_others(place)
    assert sorted((tmp_path / "rules").read_text().splitlines()) == [
        "-A FORWARD -i rst1a2b3c+ -j ACCEPT",
        "-A FORWARD -o rst1a2b3c+ -j ACCEPT",
        "-A INPUT -d 10.199.0.1/32 -i rst1a2b3c+ -j ACCEPT",
    ]


@pytest.mark.slow
async def test_a_host_without_the_runtime_is_told_so(oci_settings: Callable[..., OciSettings]) -> None:
    settings = replace(oci_settings(), runtime="no-such-runtime")
    with pytest.raises(errors.Unavailable, match="no-such-runtime is not installed"):
        await OciEngine(settings, images=None).start()  # type: ignore[arg-type]


async def test_an_engine_that_was_not_started_says_so(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="was not started"):
        await OciEngine(OciSettings(tmp_path, tmp_path), images=None).list()  # type: ignore[arg-type]
