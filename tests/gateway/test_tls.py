"""TLS with certificates that clients verify."""

import asyncio
import dataclasses
import ssl
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import websockets
from roost_server.domain import errors
from roost_server.domain.route import Snapshot
from roost_server.gateway.certificates import Authority
from roost_server.gateway.envoy import EnvoyGateway
from roost_server.gateway.settings import GatewaySettings

from gateway.stories import HOST, PATIENCE_SECONDS, leading_to, route
from gateway.upstreams import Agent, agent, echo

pytestmark = pytest.mark.slow


async def get(settings: GatewaySettings, host: str, trusted: Path, *, http2: bool = False) -> httpx.Response:
    context = ssl.create_default_context(cafile=str(trusted))
    async with httpx.AsyncClient(verify=context, http1=not http2, http2=http2, timeout=PATIENCE_SECONDS) as caller:
        return await caller.get(
            f"https://127.0.0.1:{settings.https_port}/", headers={"host": host}, extensions={"sni_hostname": host}
        )


@pytest.mark.parametrize("http2", [False, True])
async def test_a_client_that_trusts_the_local_ca_reaches_the_agent(gateway, settings, http2):
    async with agent(echo) as up:
        await gateway.publish(leading_to(up))
        answer = await get(settings, HOST, settings.tls_dir / "ca.crt", http2=http2)
    assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
    assert answer.json()["headers"]["x-forwarded-proto"] == "https"


async def test_a_websocket_passes_over_tls(gateway, settings):
    async def shout(socket: websockets.ServerConnection) -> None:
        async for message in socket:
            await socket.send(message.upper())

    trusted = ssl.create_default_context(cafile=str(settings.tls_dir / "ca.crt"))
    async with websockets.serve(shout, "127.0.0.1", 0) as server:
        await gateway.publish(leading_to(Agent(server.sockets[0].getsockname()[1])))
        async with websockets.connect(
            f"wss://{HOST}/", ssl=trusted, host="127.0.0.1", port=settings.https_port, proxy=None
        ) as socket:
            await socket.send("word")
            assert await socket.recv() == "WORD"


async def test_an_unknown_host_below_the_domain_is_404_over_tls_too(gateway, settings):
    await gateway.publish(Snapshot())
    answer = await get(settings, "nobody.localhost", settings.tls_dir / "ca.crt")
    assert answer.json()["type"] == "not_found_error"


async def test_a_name_outside_the_domain_gets_no_certificate(gateway, settings):
    await gateway.publish(Snapshot())
    with pytest.raises(httpx.ConnectError):
        await get(settings, "bank.example", settings.tls_dir / "ca.crt")


async def test_a_longer_domain_is_served_by_one_wildcard_certificate(settings):
    settings = dataclasses.replace(settings, domain="agents.example.com")
    async with started(settings) as gateway, agent(echo) as up:
        snapshot = leading_to(up)
        hosts = ("a.agents.example.com", "b.agents.example.com")
        await gateway.publish(Snapshot((dataclasses.replace(snapshot.routes[0], hosts=hosts),)))
        for host in hosts:
            assert (await get(settings, host, settings.tls_dir / "ca.crt")).status_code == 200


async def test_the_operators_certificate_is_used_and_read_again_when_replaced(settings, tmp_path):
    settings = dataclasses.replace(
        settings, domain="agents.example.com", tls_certificate=tmp_path / "chain.pem", tls_key=tmp_path / "key.pem"
    )
    first, second = (operators_ca(tmp_path / name) for name in ("first", "second"))
    write_operators(settings, first)
    async with started(settings) as gateway:
        await gateway.publish(Snapshot())
        assert (await get(settings, "x.agents.example.com", tmp_path / "first" / "ca.crt")).status_code == 404
        write_operators(settings, second)
        await gateway.keep_up()
        await gateway.publish(Snapshot((route(host="y.agents.example.com"),)))
        assert (await get(settings, "x.agents.example.com", tmp_path / "second" / "ca.crt")).status_code == 404


async def test_a_certificate_that_does_not_fit_its_key_is_refused_at_the_start(settings, tmp_path):
    settings = dataclasses.replace(
        settings, domain="agents.example.com", tls_certificate=tmp_path / "chain.pem", tls_key=tmp_path / "key.pem"
    )
    write_operators(settings, operators_ca(tmp_path / "first"))
    settings.tls_key.write_bytes(operators_ca(tmp_path / "second").issue(["x"], datetime.now(UTC)).key)
    with pytest.raises(errors.Invalid, match="cannot use tls_key"):
        await EnvoyGateway(settings).start()


def operators_ca(directory: Path) -> Authority:
    return Authority.load_or_make(directory, datetime.now(UTC))


def write_operators(settings: GatewaySettings, ca: Authority) -> None:
    pair = ca.issue(["*.agents.example.com"], datetime.now(UTC))
    assert settings.tls_certificate and settings.tls_key
    settings.tls_certificate.write_bytes(pair.chain)
    settings.tls_key.write_bytes(pair.key)


class started:
    """A gateway with other settings, for the length of a block."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.gateway = EnvoyGateway(settings)

    async def __aenter__(self) -> EnvoyGateway:
        await self.gateway.start()
        return self.gateway

    async def __aexit__(self, *_: object) -> None:
        await asyncio.shield(self.gateway.close(stop_traffic=True))
