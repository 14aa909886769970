"""The host: its doctor, and a firewall that comes back."""

import asyncio
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from machine import OciSubject, spec
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
async def test_a_host_without_the_runtime_is_told_so(oci_settings: Callable[..., OciSettings]) -> None:
    settings = replace(oci_settings(), runtime="no-such-runtime")
    with pytest.raises(errors.Unavailable, match="no-such-runtime is not installed"):
        await OciEngine(settings, images=None).start()  # type: ignore[arg-type]


async def test_an_engine_that_was_not_started_says_so(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="was not started"):
        await OciEngine(OciSettings(tmp_path, tmp_path), images=None).list()  # type: ignore[arg-type]
