"""How one runtime is shown."""

from typing import TYPE_CHECKING, Any

from roost.cli import output, serving
from roost.models import Replica, Version

if TYPE_CHECKING:
    from roost.runtime import Runtime


def say_created(runtime: "Runtime") -> None:
    """What a new runtime is, where it is, and what to do next."""
    name = runtime.name
    if runtime.status != "active":
        print(f"{name} is {output.status(runtime.status)}; follow it with `roost inspect {name}`")
        return
    replicas = runtime.list_replicas()
    took = f" after {max(sum(one.phases.values()) for one in replicas):.1f} s" if replicas else ""
    health = runtime.get_config().get("health")
    print(f"{name} is {output.status(runtime.status)}{took}")
    steps = [
        ("call it", f"roost call {name} {health['path']}" if health else ""),
        ("go inside", f"roost exec {name} -- sh -c 'id; ls'"),
    ]
    output.pairs([("", ""), ("  url", runtime.alias_url or runtime.url), *((f"  {what}", how) for what, how in steps)])
    output.pairs([("  logs     ", f"roost logs -f {name}")])


def show(runtime: "Runtime", *, as_json: bool) -> None:
    """Everything about one runtime."""
    version = runtime.get_version(runtime.version)
    replicas, config, image = runtime.list_replicas(), version.config, runtime.image()
    if as_json:
        parts = {"replica_list": replicas, "config": config, "image": image}
        output.emit({**output.plain(runtime), **output.plain(parts)})
        return
    _show_head(runtime, f"{image.reference} {(image.digest or '')[:19]}".strip(), version)
    print()
    serving.table(runtime.endpoints)
    if replicas:
        print()
        output.table(("REPLICA", "STATUS", "VERSION", "ADDRESS", "RESTARTS", "STARTED IN"), [_row(r) for r in replicas])
    for message in {one.message for one in replicas if one.message and one.message != runtime.message}:
        print(f"\n{message}")


def _show_head(runtime: "Runtime", image: str, version: Version) -> None:
    config: dict[str, Any] = dict(version.config)
    health = config["health"]
    labels = ", ".join(f"{key}={value}" for key, value in sorted(runtime.labels.items()))
    environment = ", ".join(sorted(config["runtime_server"]["env"]))
    output.pairs(
        [
            ("name", runtime.name),
            ("id", runtime.id),
            ("description", runtime.description),
            ("status", output.status(runtime.status) + (f" ({runtime.reason})" if runtime.reason else "")),
            ("message", (runtime.message or "").replace("\n", "\n" + " " * 14)),
            ("replicas", f"{runtime.replicas.ready} of {runtime.replicas.wanted} ready"),
            ("url", runtime.url),
            ("", runtime.alias_url or ""),
            *_port_urls(runtime, config),
            ("version", f"{runtime.version}" + _outlook(runtime)),
            ("image", image),
            ("size", _size(version)),
            ("scaling", _scaling(config["autoscaling"])),
            ("health", f"GET {health['path']} on port {health['port']}" if health else "ready when its process runs"),
            ("labels", labels),
            ("env", environment),
            ("created", f"{output.stamp(runtime.created_at)} ({output.age(runtime.created_at)} ago)"),
        ]
    )


def _outlook(runtime: "Runtime") -> str:
    """Why the newest version does not serve, when it does not."""
    if any(one.version == runtime.version for endpoint in runtime.endpoints for one in endpoint.live):
        return ""
    if all(endpoint.pinned or endpoint.split for endpoint in runtime.endpoints):
        return " (not served: no endpoint follows the latest)"
    if runtime.applied_version != runtime.version:
        return f" (recorded; `roost restart {runtime.name}` applies it)"
    return " (not served yet)" if runtime.stale else ""


def _size(version: Version) -> str:
    asked: dict[str, Any] = dict(version.config["resources"])
    told = f"{output.cores(version.cpu_cores)}, {version.memory_mb} MiB memory, {asked['disk_mb']} MiB disk"
    return f"{told} (flavor {asked['flavor']})" if asked.get("flavor") else told


def _scaling(scaling: dict[str, int]) -> str:
    least, most = scaling["min_replicas"], scaling["max_replicas"]
    if least == most:
        return ""
    return f"{least} to {most}, above {scaling['cpu_utilization']} % CPU or {scaling['memory_utilization']} % memory"


def _port_urls(runtime: "Runtime", config: dict[str, Any]) -> list[tuple[str, str]]:
    ports = config["sandbox"]["exposed_ports"]
    return [(f"port {port}", runtime.url.replace("://", f"://{port}-", 1)) for port in ports]


def _row(one: Replica) -> tuple[str, ...]:
    told = f"{one.status} ({one.reason})" if one.reason else one.status
    if one.exit_code is not None:
        told += f", exit code {one.exit_code}"
    return one.id, told, str(one.version), one.address or "-", str(one.restarts), _phases(one)


def _phases(one: Replica) -> str:
    """ "0.42 s: image 0.30, process 0.12"; what took no time is left out."""
    if not one.phases:
        return "-"
    parts = [f"{name} {seconds:.2f}" for name, seconds in one.phases.items() if seconds >= 0.005]
    total = f"{sum(one.phases.values()):.2f} s"
    return f"{total}: {', '.join(parts)}" if parts else total
