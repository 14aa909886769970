"""Images over HTTP: pull, load, build, push, list, delete."""

import io
import tarfile
from typing import Any

import httpx
import pytest
from support.platform import Rig
from support.waiting import eventually

from api.envelopes import refused


def context(**files: str) -> bytes:
    """A build context as a tar."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


async def nothing_is_left(rig: Rig) -> None:
    """Uploads are removed once their image is there, which whoever waited for the image may see first."""

    async def empty() -> bool:
        folder = rig.platform.api().uploads
        return not folder.exists() or not any(path.is_dir() for path in folder.iterdir())

    await eventually(empty)


async def test_a_pull_with_wait_answers_when_the_image_is_here(http: httpx.AsyncClient) -> None:
    answer = await http.post("/images?wait=30", json={"reference": "registry.example.com/team/agent:v1"})
    shown = answer.json()
    assert answer.status_code == 201 and shown["status"] == "ready" and shown["source"] == "pull"
    assert shown["digest"].startswith("sha256:") and shown["architecture"] == "amd64"
    for name in (shown["id"], shown["digest"]):
        assert (await http.get(f"/images/{name}")).json()["id"] == shown["id"]


@pytest.mark.parametrize("reason", ["image_not_found", "image_unauthorized", "image_corrupt"])
async def test_a_pull_that_fails_says_why(http: httpx.AsyncClient, reason: str) -> None:
    answer = await http.post("/images?wait=30", json={"reference": f"registry.example.com/team/{reason}"})
    assert (answer.json()["status"], answer.json()["reason"]) == ("failed", reason)


async def test_a_build_makes_an_image_that_a_runtime_runs_by_its_name(http: httpx.AsyncClient, rig: Rig) -> None:
    body = context(Dockerfile="FROM scratch\nCMD x\n")
    answer = await http.post("/images/build?name=hello&wait=30", content=body)
    shown = answer.json()
    assert (shown["status"], shown["source"], shown["reference"]) == ("ready", "build", "hello:latest")
    log = await http.get(f"/images/{shown['id']}/build-log")
    assert log.text == "FROM scratch\nCMD x\n" and log.headers["content-type"].startswith("text/plain")
    assert (await http.get(f"/images/{shown['id']}/build-log?offset=13")).text == "CMD x\n"
    config = {"build": {"source": {"kind": "image", "ref": "hello"}}}
    runtime = await http.post("/runtimes?wait=30", json={"name": "agent", "config": config})
    assert runtime.json()["status"] == "active"
    await nothing_is_left(rig)


async def test_a_build_without_its_dockerfile_fails_with_a_reason(http: httpx.AsyncClient) -> None:
    answer = await http.post("/images/build?name=hello&wait=30", content=context(Other="x"))
    assert (answer.json()["status"], answer.json()["reason"]) == ("failed", "image_build_failed")


@pytest.mark.parametrize("body", [b"no tar at all", b"\x1f\x8b broken gzip"])
async def test_a_context_that_is_no_tar_fails_with_a_reason(http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.post("/images/build?name=hello&wait=30", content=body)
    assert (answer.json()["status"], answer.json()["reason"]) == ("failed", "image_build_failed")


async def test_a_context_that_leads_outside_is_refused(http: httpx.AsyncClient, rig: Rig) -> None:
    answer = await http.post("/images/build?name=hello&wait=30", content=context(**{"../../outside": "x"}))
    assert (answer.json()["status"], answer.json()["reason"]) == ("failed", "image_build_failed")
    assert not (rig.platform.api().uploads.parent / "outside").exists()


async def test_an_archive_is_loaded(http: httpx.AsyncClient, rig: Rig) -> None:
    answer = await http.post("/images/load?name=mine:v1&wait=30", content=b"an archive")
    assert (answer.json()["status"], answer.json()["reference"]) == ("ready", "mine:v1")
    await nothing_is_left(rig)


@pytest.mark.parametrize("query", ["", "?name=", "?name=NOT%20ONE"])
async def test_an_upload_needs_a_name_that_can_be_one(http: httpx.AsyncClient, rig: Rig, query: str) -> None:
    refused(await http.post(f"/images/load{query}", content=b"an archive"), 422, "query.name")
    await nothing_is_left(rig)


async def test_an_empty_upload_is_refused(http: httpx.AsyncClient, rig: Rig) -> None:
    refused(await http.post("/images/load?name=mine", content=b""), 422, "body")
    await nothing_is_left(rig)


async def test_an_upload_may_be_larger_than_other_bodies(http: httpx.AsyncClient) -> None:
    answer = await http.post("/images/load?name=mine&wait=30", content=b"x" * (10 << 20))
    assert answer.json()["status"] == "ready"


async def test_a_repeated_upload_makes_nothing_and_leaves_nothing(http: httpx.AsyncClient, rig: Rig) -> None:
    headers = {"Idempotency-Key": "key-1"}
    url = "/images/load?name=mine"
    first = await http.post(f"{url}&wait=30", content=b"an archive", headers=headers)
    again = await http.post(url, content=b"an archive", headers=headers)
    assert (first.status_code, again.status_code) == (201, 201) and first.json()["id"] == again.json()["id"]
    await nothing_is_left(rig)
    refused(await http.post(url, content=b"another archive", headers=headers), 409)
    await http.delete(f"/images/{first.json()['id']}")
    refused(await http.post(url, content=b"an archive", headers=headers), 409)
    await nothing_is_left(rig)


async def test_an_image_in_use_is_not_deleted_and_a_free_one_is(http: httpx.AsyncClient) -> None:
    await http.post("/images/load?name=mine&wait=30", content=b"an archive")
    (mine,) = (await http.get("/images?reference=mine")).json()["items"]
    config = {"build": {"source": {"kind": "image", "ref": "mine"}}}
    await http.post("/runtimes?wait=30", json={"name": "agent", "config": config})
    refused(await http.delete(f"/images/{mine['id']}"), 409)
    await http.delete("/runtimes/agent?wait=30")
    assert (await http.delete(f"/images/{mine['id']}")).status_code == 204
    refused(await http.get(f"/images/{mine['id']}"), 404)


async def test_the_builtin_stays(http: httpx.AsyncClient) -> None:
    refused(await http.delete("/images/builtin:runtime"), 409)


async def test_a_push_with_wait_says_how_it_ended(http: httpx.AsyncClient) -> None:
    await http.post("/images/load?name=mine&wait=30", content=b"an archive")
    answer = await http.post("/images/mine/push?wait=30", json={"reference": "registry.example.com/team/mine:v1"})
    push = answer.json()
    assert answer.status_code == 202 and push["status"] == "ready"
    assert (await http.get(f"/images/mine/pushes/{push['id']}")).json() == push
    refused(await http.get(f"/images/builtin:runtime/pushes/{push['id']}"), 404)


@pytest.mark.parametrize("reference", ["mine:v1", "registry.example.com/mine@sha256:" + "0" * 64, "NOT ONE"])
async def test_a_push_needs_a_registry_and_a_tag(http: httpx.AsyncClient, reference: str) -> None:
    refused(await http.post("/images/builtin:runtime/push", json={"reference": reference}), 422, "reference")


async def test_an_image_that_is_not_ready_is_not_pushed(http: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {"reference": "registry.example.com/team/image_not_found"}
    shown = (await http.post("/images?wait=30", json=body)).json()
    refused(await http.post(f"/images/{shown['id']}/push", json={"reference": "r.example.com/a:1"}), 409)


async def test_a_failed_load_that_start_tries_again_ends_as_failed_again(http: httpx.AsyncClient, rig: Rig) -> None:
    await rig.kill()
    image = (await http.post("/images/build?name=hello", content=b"no tar")).json()
    config = {"build": {"source": {"kind": "image", "ref": "hello"}}}
    await http.post("/runtimes", json={"name": "agent", "config": config})
    await rig.revive()
    assert (await http.get("/runtimes/agent?wait=30")).json()["status"] == "error"
    assert (await http.post("/runtimes/agent/start?wait=30")).json()["status"] == "error"
    assert (await http.get(f"/images/{image['id']}")).json()["status"] == "failed"


async def test_images_are_listed_newest_first_and_by_name(http: httpx.AsyncClient) -> None:
    for number in range(3):
        await http.post(f"/images/load?name=mine-{number}&wait=30", content=b"an archive")
    names = [item["reference"] for item in (await http.get("/images")).json()["items"]]
    assert names == ["mine-2:latest", "mine-1:latest", "mine-0:latest", "builtin:runtime"]
    page = (await http.get("/images?limit=2")).json()
    rest = (await http.get(f"/images?cursor={page['next_cursor']}")).json()
    assert [item["reference"] for item in page["items"] + rest["items"]] == names
    assert (await http.get("/images?reference=absent")).json()["items"] == []
