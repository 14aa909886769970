"""Envoy and the server come and go; traffic does not notice."""

import asyncio
import dataclasses
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from roost_server.domain import errors
from roost_server.domain.route import Snapshot
from roost_server.gateway import identity
from roost_server.gateway.envoy import EnvoyGateway
from roost_server.gateway.settings import GatewaySettings
from support import ports

from gateway.callers import progress, steady_traffic
from gateway.stories import HOST, PATIENCE_SECONDS, eventually, leading_to
from gateway.upstreams import Agent, agent, echo, named

pytestmark = pytest.mark.slow

SERVER = """
import asyncio, sys
from pathlib import Path
from roost_server.domain.route import Backend, Pool, Route, Snapshot
from roost_server.gateway.envoy import EnvoyGateway
from roost_server.gateway.settings import GatewaySettings

async def main(data_dir, run_dir, http_port, https_port, backend_port):
    gateway = EnvoyGateway(GatewaySettings(
        Path(data_dir), Path(run_dir), http_host="127.0.0.1", http_port=int(http_port), https_port=int(https_port),
        workers=1, confirm_seconds=30, start_seconds=30))
    await gateway.start()
    pool = Pool(1, 100, (Backend("replica-1", "127.0.0.1", int(backend_port)),))
    await gateway.publish(Snapshot((Route("r1", ("agent.localhost",), (pool,)),)))
    print(gateway.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_new_server_adopts_envoy_without_a_failed_request(settings, client):
    async with agent(echo) as up, closing(settings) as last:
        first = EnvoyGateway(settings)
        await first.start()
        await first.publish(leading_to(up))
        async with steady_traffic(settings) as answers:
            await first.close()
            await progress(answers)
            await last.start()
            await progress(answers)
            await last.publish(leading_to(up))
            await progress(answers)
        assert last.pid == first.pid
        assert set(answers) == {200}


async def test_a_server_that_is_killed_is_not_missed(settings):
    async with agent(echo) as up, closing(settings) as last:
        server, pid = await a_server(settings, up)
        async with steady_traffic(settings) as answers:
            server.kill()
            await server.wait()
            await progress(answers)
            await last.start()
            await last.publish(leading_to(up))
            await progress(answers)
        assert last.pid == pid
        assert set(answers) == {200}


async def test_an_adopted_envoy_takes_changes(settings, client):
    async with agent(named("old")) as old, agent(named("new")) as new, closing(settings) as last:
        await first_run(settings, old)
        await last.start()
        assert (await client(HOST).get("/")).text == "old"
        await last.publish(leading_to(new))
        assert (await client(HOST).get("/")).text == "new"


async def test_an_envoy_that_was_adopted_before_it_had_a_listener_serves_what_is_published(settings, client):
    async with agent(echo) as up, closing(settings) as last:
        first = EnvoyGateway(settings)
        await first.start()
        await first.close()
        await last.start()
        await last.publish(leading_to(up))
        assert (await client(HOST).get("/")).status_code == 200
        assert last.pid == first.pid


async def test_it_is_ready_once_callers_get_through(gateway, client):
    async with agent(echo) as up:
        with pytest.raises(errors.Unavailable, match="not confirmed"):
            await gateway.ready()
        await gateway.publish(leading_to(up))
        await gateway.ready()
        assert (await client(HOST).get("/")).status_code == 200


async def test_it_is_not_ready_while_nobody_listens(settings, gateway):
    await gateway.publish(Snapshot())
    await gateway.close(stop_traffic=True)
    with pytest.raises(errors.Unavailable, match=f"does not listen on 127.0.0.1:{settings.http_port}"):
        await gateway.ready()


@pytest.mark.parametrize("adopted", [False, True])
async def test_envoy_that_is_killed_is_started_again_and_serves(settings, client, adopted):
    async with agent(echo) as up, closing(settings) as last:
        if adopted:
            await first_run(settings, up)
        await last.start()
        await last.publish(leading_to(up))
        killed = last.pid
        os.kill(killed, signal.SIGKILL)
        await answers_again(client(HOST))
        assert last.pid != killed
        await last.publish(leading_to(up))


async def test_envoy_that_was_killed_while_no_server_ran_is_started_again(settings, client):
    async with agent(echo) as up, closing(settings) as last:
        killed = await first_run(settings, up)
        os.kill(killed, signal.SIGKILL)
        await eventually(lambda: not identity.of(killed, "").alive())
        await last.start()
        await last.publish(leading_to(up))
        assert (await client(HOST).get("/")).status_code == 200


async def test_somebody_elses_process_with_envoys_old_id_is_left_alone(settings):
    async with closing(settings) as last:
        settings.gateway_dir.mkdir(parents=True)
        bystander = identity.of(os.getpid(), "whatever")
        identity.write(
            settings.gateway_dir / "envoy.json",
            dataclasses.replace(bystander, started_ticks=bystander.started_ticks - 1),
        )
        await last.start()
        assert last.pid != os.getpid()


async def test_an_envoy_that_nobody_wrote_down_is_ended_and_replaced(settings):
    async with agent(echo) as up, closing(settings) as last:
        stray = await first_run(settings, up)
        (settings.gateway_dir / "envoy.json").unlink()
        await last.start()
        assert last.pid != stray
        assert not identity.of(stray, "").alive()


async def test_the_log_is_moved_aside_when_it_is_large(settings, gateway):
    with settings.log_file.open("ab") as log:
        log.truncate(11 * 1024 * 1024)
    await gateway.keep_up()
    assert settings.log_file.with_suffix(".log.1").stat().st_size > 10 * 1024 * 1024
    await gateway.close()
    await eventually(lambda: settings.log_file.exists() and "config stream" in settings.log_file.read_text())


@pytest.mark.parametrize(
    ("change", "named"),
    [({"http_host": "localhost"}, "http_host"), ({"https_port": 80, "http_port": 80}, "https_port")],
)
async def test_settings_that_cannot_be_used_are_named(settings, change, named):
    with pytest.raises(errors.Invalid, match=named):
        await EnvoyGateway(dataclasses.replace(settings, **change)).start()


async def test_other_ports_restart_envoy(settings):
    async with agent(echo) as up:
        pid = await first_run(settings, up)
        moved = dataclasses.replace(settings, http_port=ports.free(1)[0])
        async with closing(moved) as last:
            await last.start()
            await last.publish(leading_to(up))
            assert last.pid != pid
            async with httpx.AsyncClient(headers={"host": HOST}, timeout=PATIENCE_SECONDS) as caller:
                assert (await caller.get(f"http://127.0.0.1:{moved.http_port}/")).status_code == 200
                with pytest.raises(httpx.ConnectError):
                    await caller.get(f"http://127.0.0.1:{settings.http_port}/")


@pytest.mark.parametrize("setting", ["http_port", "https_port"])
async def test_a_port_that_is_taken_is_named_with_its_setting(settings, setting):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(errors.Unavailable, match=f"{port}.*{setting}"):
            await EnvoyGateway(dataclasses.replace(settings, **{setting: port})).start()


async def test_a_run_directory_too_deep_for_sockets_is_named(settings):
    with pytest.raises(errors.Invalid, match="run_dir"):
        await EnvoyGateway(dataclasses.replace(settings, run_dir=settings.run_dir / ("x" * 100))).start()


async def test_stopping_the_traffic_ends_envoy_and_closing_twice_succeeds(settings, gateway):
    running = identity.read(settings.gateway_dir / "envoy.json")
    assert running is not None and running.alive()
    await gateway.close(stop_traffic=True)
    assert not running.alive()
    await gateway.close(stop_traffic=True)


async def test_a_gateway_that_was_never_started_stops_the_traffic_of_an_earlier_one(settings, gateway):
    await gateway.close()
    await EnvoyGateway(settings).close(stop_traffic=True)
    assert identity.read(settings.gateway_dir / "envoy.json") is None
    assert not identity.find("envoy", str(settings.gateway_dir / "bootstrap.json"))


async def test_two_installations_do_not_disturb_each_other(gateway, settings, tmp_path):
    http_port, https_port = ports.free(2)
    other = dataclasses.replace(
        settings, run_dir=settings.run_dir / "2", data_dir=tmp_path, http_port=http_port, https_port=https_port
    )
    async with agent(named("one")) as one, agent(named("two")) as two, closing(other) as second:
        await second.start()
        await gateway.publish(leading_to(one))
        await second.publish(leading_to(two))
        async with httpx.AsyncClient(headers={"host": HOST}, timeout=PATIENCE_SECONDS) as caller:
            assert (await caller.get(f"http://127.0.0.1:{settings.http_port}/")).text == "one"
            assert (await caller.get(f"http://127.0.0.1:{other.http_port}/")).text == "two"


async def test_sockets_and_keys_are_for_the_owner_alone(gateway, settings):
    await gateway.publish(leading_to())
    for path in (settings.gateway_dir, settings.xds_socket, settings.admin_socket, settings.tls_dir / "ca.key"):
        assert path.stat().st_mode & 0o077 == 0, path


@asynccontextmanager
async def closing(settings: GatewaySettings) -> AsyncIterator[EnvoyGateway]:
    """A gateway that is not started yet and whose Envoy is ended at the end, whoever started it."""
    made = EnvoyGateway(settings)
    try:
        yield made
    finally:
        await made.close(stop_traffic=True)


async def first_run(settings: GatewaySettings, up: Agent) -> int:
    """A server that came, published and left; the process id of the Envoy it left behind."""
    first = EnvoyGateway(settings)
    await first.start()
    await first.publish(leading_to(up))
    await first.close()
    assert first.pid is not None
    return first.pid


async def a_server(settings: GatewaySettings, up: Agent) -> tuple[asyncio.subprocess.Process, int]:
    """A server in a process of its own that has published a route to `up`, and its Envoy's process id."""
    arguments = (settings.data_dir, settings.run_dir, settings.http_port, settings.https_port, up.port)
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, *map(str, arguments), stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    async for line in server.stdout:
        if line.strip().isdigit():
            return server, int(line)
    raise AssertionError("the server ended early")


async def answers_again(caller: httpx.AsyncClient) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                if (await caller.get("/")).status_code == 200:
                    return
            except httpx.HTTPError:
                await asyncio.sleep(0.01)
