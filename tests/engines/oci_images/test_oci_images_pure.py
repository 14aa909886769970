"""The decisions without a registry or a disk: tables of what is read and what follows."""

import json

import pytest
from roost_server.domain import errors
from roost_server.domain.config import RegistryAuth
from roost_server.domain.image import Progress
from roost_server.engines.oci.images import builtin, dockerfile, failures, registry
from roost_server.engines.oci.images import manifest as images_manifest

from oci_images.making import ARCHITECTURE, FOREIGN

DIGESTS = [f"sha256:{character * 64}" for character in "abcdef"]


def entry(number: int, architecture: str, variant: str = "", system: str = "linux") -> dict[str, object]:
    platform = {"os": system, "architecture": architecture, **({"variant": variant} if variant else {})}
    return {"mediaType": "x", "digest": DIGESTS[number], "size": 1, "platform": platform}


@pytest.mark.parametrize(
    ("machine", "entries", "chosen"),
    [
        ("x86_64", [entry(0, "arm64"), entry(1, "amd64")], 1),
        ("x86_64", [entry(0, "amd64", "v3"), entry(1, "amd64")], 1),
        ("x86_64", [entry(0, "amd64", system="windows"), entry(1, "amd64")], 1),
        ("aarch64", [entry(0, "amd64"), entry(1, "arm64", "v8")], 1),
        ("aarch64", [entry(0, "arm", "v7"), entry(1, "arm64")], 1),
        ("armv7l", [entry(0, "arm", "v6"), entry(1, "arm", "v7")], 1),
        ("armv7l", [entry(0, "arm", "v6"), entry(1, "arm64", "v8")], 0),
        ("riscv64", [entry(0, "amd64"), entry(1, "riscv64")], 1),
        ("x86_64", [entry(0, "unknown", system="unknown"), {"digest": DIGESTS[1], "mediaType": "x", "size": 1}], 1),
    ],
)
def test_the_entry_for_this_machine_is_chosen(
    monkeypatch: pytest.MonkeyPatch, machine: str, entries: list[dict[str, object]], chosen: int
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)

    assert images_manifest.choose({"manifests": entries}, "it").digest == DIGESTS[chosen]


def test_an_index_without_this_machine_names_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    others = [entry(0, "arm", "v7"), entry(1, "s390x"), entry(2, "unknown", system="unknown")]

    with pytest.raises(errors.Invalid, match=r"linux/amd64: the image is for linux/arm/v7, linux/s390x;") as caught:
        images_manifest.choose({"manifests": others}, "it")

    assert caught.value.reason == "image_architecture"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "image_corrupt"),
        (b"[]", "image_corrupt"),
        (b"{}", "image_invalid"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "image_invalid"),
        (b'{"config": {"digest": "sha256:short"}, "layers": []}', "image_invalid"),
        (b'{"config": {"digest": "../../etc/passwd"}, "layers": []}', "image_invalid"),
        (b'{"config": "text", "layers": []}', "image_invalid"),
        (b'{"config": {}, "layers": {}}', "image_invalid"),
        (
            json.dumps({"config": {"digest": DIGESTS[0], "mediaType": "text/plain"}, "layers": []}).encode(),
            "image_invalid",
        ),
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        images_manifest.manifest(content, "it")

    assert caught.value.reason == reason


def test_a_configuration_for_another_system_is_refused() -> None:
    with pytest.raises(errors.Invalid, match=f"linux/{ARCHITECTURE}: the image is for windows/{FOREIGN}"):
        images_manifest.configuration(json.dumps({"os": "windows", "architecture": FOREIGN}).encode(), "it")


MARIA = RegistryAuth("maria", "secret")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("reading manifest v9 in localhost:5000/a: manifest unknown", "image_not_found"),
        ("reading manifest v1 in localhost:5000/b: name unknown: repository name not known", "image_not_found"),
        ("requested access to the resource is denied", "image_unauthorized"),
        ("unable to retrieve auth token: invalid username/password: unauthorized", "image_unauthorized"),
        ("writing blob: write /x: no space left on device", "disk_full"),
        ("Digest did not match, expected sha256:a, got sha256:b", "image_corrupt"),
        ("unsupported MIME type for compression: application/x", "image_invalid"),
        ("dial tcp 127.0.0.1:5000: connect: connection refused", "registry_unavailable"),
        ("Get https://r/v2/: dial tcp: lookup r: no such host", "registry_unavailable"),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "registry_unavailable"),
        ("", "registry_unavailable"),
    ],
)
def test_what_skopeo_says_becomes_a_reason(said: str, reason: str) -> None:
    error = failures.of_registry("pull", "team/agent:v1", MARIA, f'time="x" level=fatal msg="{said}"')

    assert error.reason == reason
    assert error.message.startswith("cannot ") and "team/agent:v1" in error.message
    assert "secret" not in error.message + error.detail


def test_a_registry_that_cannot_be_reached_is_not_told_as_a_wrong_name() -> None:
    said = 'Error parsing image name \\"docker://r/app:v1\\": pinging container registry r: dial tcp: no such host'

    error = failures.of_registry("pull", "r/app:v1", None, f'time="x" level=fatal msg="{said}"')

    assert "(pinging container registry r: dial tcp: no such host)" in error.message
    assert "Error parsing" not in error.message


def test_an_images_own_name_is_not_read_as_a_failure() -> None:
    said = "reading manifest denied in localhost:40412/not-found/x509: Get https://localhost:40412/v2/not-found: EOF"

    error = failures.of_registry("pull", "localhost:40412/not-found/x509:denied", None, said)

    assert error.reason == "registry_unavailable"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("FROM app", {"app": "app"}),
        ("from --platform=linux/amd64 app:v1 as x\nFROM x", {"app:v1": "app:v1"}),
        ("# FROM no\nFROM \\\n  app\nCOPY --from=tool /a /b", {"app": "app", "tool": "tool"}),
        ("ARG V=1\nFROM app:${V}", {"app:${V}": "app:2"}),
        ("ARG V=1\nFROM app:$V-${W:-slim}", {"app:$V-${W:-slim}": "app:2-slim"}),
        ("FROM scratch\nRUN --mount=type=bind,from=tool,target=/t true", {"tool": "tool"}),
        ("FROM a AS one\nFROM b\nCOPY --from=one x y\nCOPY --from=0 x y", {"a": "a", "b": "b"}),
    ],
)
def test_names_are_read_from_dockerfiles(text: str, named: dict[str, str]) -> None:
    assert dockerfile.images_named(text, {"V": "2"}) == named


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True), ("localhost:5000", True), ("127.0.0.1:5000", True), ("127.1.2.3", True),
        ("[::1]:5000", True), ("docker.io", False), ("10.0.0.1:5000", False), ("localhost.example.com", False),
        ("[2001:db8::1]", False),
    ],
)  # fmt: skip
def test_only_this_machines_registries_are_insecure_by_themselves(host: str, loopback: bool) -> None:
    assert registry.is_loopback(host) is loopback


def test_a_setting_makes_further_registries_insecure() -> None:
    setting = ("one.example.com", "two.example.com:5000")
    names = ["one.example.com/a", "one.example.com:81/a", "two.example.com:5000/a", "two.example.com/a"]

    assert [registry.source(name, None, setting).insecure for name in names] == [True, True, True, False]


def test_a_digest_stands_in_for_the_tag() -> None:
    assert registry.source("localhost:5000/a/b:v1", None, ()).at("sha256:d") == "localhost:5000/a/b@sha256:d"
    assert registry.source("b", None, ()).at("sha256:d") == "docker.io/library/b@sha256:d"


def test_making_the_builtin_moves_a_bar() -> None:
    seen: list[Progress] = []
    watcher = builtin.Watcher(seen.append)
    for line in (
        "I: running apt-get update...", "Get:1 http://deb bookworm InRelease [151 kB]",
        "I: downloading packages with apt...", "Get:2 libc6", "I: extracting archives...",
        "I: installing essential packages...", "Unpacking libc6 (2.36) ...",
        *["Setting up something ..."] * 2000, "I: creating tarball...",
    ):  # fmt: skip
        watcher.hear(line)

    done = [progress.done_bytes for progress in seen]
    assert done == sorted(done) and 0 < done[1] < done[-1] < seen[-1].total_bytes
    assert list(dict.fromkeys(progress.step for progress in seen)) == [
        "reading package lists", "downloading", "extracting", "installing", "packing"
    ]  # fmt: skip
