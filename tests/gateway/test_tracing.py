"""Spans of requests, at a real receiver; and nothing of it where no collector is named."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from roost_server import settings as platform_settings
from roost_server.domain import errors
from roost_server.domain.route import Route, Snapshot
from roost_server.gateway.collector import Collector, parse
from roost_server.gateway.envoy import EnvoyGateway
from roost_server.gateway.resources import tracing
from roost_server.gateway.settings import GatewaySettings

from gateway import collecting
from gateway.collecting import Receiver
from gateway.stories import HOST, backend, eventually, pool
from gateway.upstreams import Agent, agent, echo

TRACE = "0af7651916cd43dd8448eb211c80319c"
ENDPOINT = "01a21379-fa40-7000-9517-299fa0da7231"


@asynccontextmanager
async def traced(settings: GatewaySettings, endpoint: str | None) -> AsyncIterator[EnvoyGateway]:
    gateway = EnvoyGateway(replace(settings, otlp_endpoint=endpoint))
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.close(stop_traffic=True)


def leading_to(up: Agent, version: int = 3) -> Snapshot:
    pools = (pool(backend(up), version=version),)
    return Snapshot((Route(ENDPOINT, (HOST,), pools, workspace="default/default", runtime="hello"),))


async def span_of(received: Receiver, trace: str) -> dict[str, str]:
    """The tags of the one span of a trace."""
    await eventually(lambda: [span for span in received.spans if span.trace_id.hex() == trace])
    (span,) = [span for span in received.spans if span.trace_id.hex() == trace]
    return collecting.tags(span) | {"parent": span.parent_span_id.hex(), "id": span.span_id.hex()}


@pytest.mark.slow
async def test_a_request_is_a_span_that_says_whose_it_was_and_goes_on_in_the_agent(settings, client):
    async with collecting.receiver() as received, traced(settings, received.endpoint) as gateway, agent(echo) as up:
        await gateway.publish(leading_to(up))
        answer = await client(HOST).get("/hello", headers={"x-request-id": "any text that a client likes"})
        handed_on = answer.json()["headers"]["traceparent"].split("-")
        span = await span_of(received, handed_on[1])
    assert {name: span[f"roost.{name}"] for name in tracing.TAGS} == {
        "workspace": "default/default",
        "runtime": "hello",
        "endpoint": ENDPOINT,
        "version": "3",
    }
    assert (span["http.method"], span["http.status_code"], span["parent"]) == ("GET", "200", "")
    assert (handed_on[2], handed_on[3]) == (span["id"], "01")


@pytest.mark.slow
async def test_a_callers_trace_goes_on(settings, client):
    async with collecting.receiver() as received, traced(settings, received.endpoint) as gateway, agent(echo) as up:
        await gateway.publish(leading_to(up))
        wanted, unwanted = f"00-{TRACE}-b7ad6b7169203331-01", f"00-{TRACE[::-1]}-b7ad6b7169203331-00"
        refused = await client(HOST).get("/", headers={"traceparent": unwanted})
        answer = await client(HOST).get("/", headers={"traceparent": wanted, "tracestate": "vendor=1"})
        span = await span_of(received, TRACE)
        traces = {span.trace_id.hex() for span in received.spans}
    assert span["parent"] == "b7ad6b7169203331"
    assert answer.json()["headers"]["tracestate"] == "vendor=1"
    assert answer.json()["headers"]["traceparent"].startswith(f"00-{TRACE}-{span['id']}-")
    assert refused.json()["headers"]["traceparent"].endswith("-00") and traces == {TRACE}


@pytest.mark.slow
async def test_a_collector_that_is_away_holds_no_request(settings, client):
    async with traced(settings, "http://127.0.0.1:1") as gateway, agent(echo) as up:
        await gateway.publish(leading_to(up))
        assert [(await client(HOST).get("/")).status_code for _ in range(20)] == [200] * 20


@pytest.mark.slow
async def test_a_gateway_that_is_adopted_begins_to_trace_when_it_is_told_to(settings, client):
    async with collecting.receiver() as received, agent(echo) as up:
        plain = EnvoyGateway(settings)
        await plain.start()
        await plain.publish(leading_to(up))
        assert "traceparent" not in (await client(HOST).get("/")).json()["headers"]
        pid = plain.pid
        await plain.close()
        async with traced(settings, received.endpoint) as gateway:
            await gateway.publish(leading_to(up))
            assert gateway.pid == pid
            handed_on = (await client(HOST).get("/")).json()["headers"]["traceparent"]
            assert (await span_of(received, handed_on.split("-")[1]))["roost.runtime"] == "hello"


def test_nothing_is_said_of_tracing_where_no_collector_is_named() -> None:
    route = Route(ENDPOINT, (HOST,), workspace="default/default", runtime="hello")
    assert (tracing.manager(None), tracing.collector(None), tracing.metadata(None, route, 1)) == ({}, [], b"")


@pytest.mark.parametrize(
    ("endpoint", "found"),
    [
        ("http://localhost:4317", Collector("localhost", 4317, False)),
        ("https://otel.example.com", Collector("otel.example.com", 4317, True)),
        ("collector:55680", Collector("collector", 55680, False)),
        ("http://[::1]:4317/", Collector("::1", 4317, False)),
    ],
)
def test_a_collectors_address_is_read(endpoint: str, found: Collector) -> None:
    assert parse(endpoint) == found


@pytest.mark.parametrize("endpoint", ["", "http://", "ftp://host", "host:port", "http://host:99999"])
def test_an_address_that_is_none_is_refused(settings: GatewaySettings, endpoint: str) -> None:
    with pytest.raises(errors.Invalid, match="cannot use otlp_endpoint"):
        replace(settings, otlp_endpoint=endpoint).check()


def test_the_standard_variable_names_the_collector_unless_the_setting_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert platform_settings.load().otlp_endpoint is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard:4317")
    assert platform_settings.load().otlp_endpoint == "http://standard:4317"
    monkeypatch.setenv("ROOST_OTLP_ENDPOINT", "http://own:4317")
    assert platform_settings.load().otlp_endpoint == "http://own:4317"
