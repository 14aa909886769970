"""`python -m bench`: measure Roost and Docker Engine side by side and print what came out."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from bench import measure, report, rootfs, swaps
from bench.docker import Docker
from bench.report import Row
from bench.roost import Roost
from bench.server import Server
from bench.side import Side

PACKAGES = {"dockerd": "docker.io", "wrk": "wrk"}


def main() -> None:
    chosen = _arguments()
    _require({"wrk"} if chosen.no_docker else set(PACKAGES))
    machine = {"cores": os.cpu_count(), "load_at_start": round(os.getloadavg()[0], 2)}
    with ExitStack() as stack:
        sides = _sides(stack, chosen)
        rows = _measure(sides, chosen)
        versions = {side.name: side.version() for side in sides}
    if chosen.json:
        print(json.dumps({"machine": machine, "versions": versions, "rows": report.as_json(rows)}, indent=2))
    else:
        print(f"machine: {machine['cores']} cores, load {machine['load_at_start']} at the start")
        print("\n".join(f"{name}: {version}" for name, version in versions.items()), end="\n\n")
        print(report.as_table(rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__, epilog="Needs root and a quiet machine.")
    parser.add_argument("--rounds", type=int, default=20, help="boxes created and removed on each side (20)")
    parser.add_argument("--execs", type=int, default=50, help="commands run on each side (50)")
    parser.add_argument("--swaps", type=int, default=10, help="updates and ways back on each side (10)")
    parser.add_argument("--calls", type=int, default=2000, help="requests one after the other (2000)")
    parser.add_argument("--seconds", type=int, default=5, help="of load for each throughput figure (5)")
    parser.add_argument("--no-docker", action="store_true", help="measure Roost alone")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--keep", type=Path, help="data directory of the server started for it, kept for the next time")
    parser.add_argument("--rootfs", type=Path, help="Docker's root file system, if not that of Roost's builtin image")
    return parser.parse_args()


def _require(programs: set[str]) -> None:
    """Install from Debian what is missing."""
    missing = sorted(PACKAGES[program] for program in programs if shutil.which(program) is None)
    if not missing:
        return
    print(f"installing {' '.join(missing)}", file=sys.stderr)
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _sides(stack: ExitStack, chosen: argparse.Namespace) -> list[Side]:
    """Roost, from ROOST_URL or started now, and Docker on the same root file system."""
    url, token = os.environ.get("ROOST_URL"), os.environ.get("ROOST_TOKEN", "")
    data_dir = Path(os.environ.get("ROOST_DATA_DIR", "/var/lib/roost"))
    if url is None:
        _say("starting Roost")
        server = stack.enter_context(Server(chosen.keep))
        url, token, data_dir = server.url, server.token, server.data_dir
    roost = stack.enter_context(closing(Roost(url, token)))
    stack.callback(roost.delete_all)
    _say("making the builtin image, if this is the first time")
    roost.delete(roost.create("bench-warm-up"))
    if chosen.no_docker:
        return [roost]
    _say("starting Docker")
    return [roost, stack.enter_context(Docker(chosen.rootfs or rootfs.builtin(data_dir)))]


def _measure(sides: Sequence[Side], chosen: argparse.Namespace) -> list[Row]:
    return [
        *measure.boxes(sides, chosen.rounds, _say),
        *measure.execs(sides, chosen.execs, _say),
        *swaps.measure(sides, chosen.swaps, _say),
        *measure.traffic(sides, chosen.calls, chosen.seconds, _say),
    ]


def _say(line: str) -> None:
    """Progress goes to a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
