"""The host as one installation uses it: the parts of the engine, made ready together and removed together."""

import shutil
from ipaddress import IPv4Address
from pathlib import Path
from time import monotonic

from roost_server.domain import errors
from roost_server.engines.oci import installation, programs
from roost_server.engines.oci.box import BoxState, BoxStates
from roost_server.engines.oci.cgroups import Cgroups
from roost_server.engines.oci.disk import Disk, Templates
from roost_server.engines.oci.linux import adopter, calls, processes
from roost_server.engines.oci.linux.processes import Process
from roost_server.engines.oci.logs.logfile import ReplicaLog
from roost_server.engines.oci.logs.rotation import Rotation
from roost_server.engines.oci.network import firewall
from roost_server.engines.oci.network.addresses import Addresses
from roost_server.engines.oci.network.network import Network
from roost_server.engines.oci.process import conmon, runc
from roost_server.engines.oci.settings import OciSettings

RUN_MB = 256
BUNDLE_SECONDS = 1.0
ADOPTER_SECONDS, KILL_ROUNDS = 10.0, 10


class Host:
    """Everything here blocks."""

    def __init__(self, settings: OciSettings) -> None:
        self.settings = settings
        self.runtime = programs.find(settings.runtime)
        self.conmon = programs.find("conmon")
        self.installation = installation.load(settings)
        self.boot_id = processes.boot_id()
        self.states = BoxStates(self.installation.boxes)
        self.addresses = Addresses(self.installation.network)
        self.cgroups = Cgroups(self.installation.cgroup)
        self.network = Network(self.installation)
        self.templates = Templates(self.installation.data)
        self.rotation = Rotation(settings.log_max_mb)

    def prepare(self) -> None:
        """Make the host ready and adopt every box that is there. Again is harmless."""
        self._make_directories()
        self.cgroups.prepare()
        self._outlive_adopters()
        self.network.prepare()
        firewall.prepare(self.installation, self.settings.api_port)
        for replica_id in self.states.load():
            self.clear(replica_id)
        for state in self.states:
            self._adopt(state)

    def _outlive_adopters(self) -> None:
        """That of a server which was killed may still have a monitor to start, which nobody would look for later."""
        for pid in self.cgroups.monitors():
            if processes.holds_argument(pid, adopter.__file__) and (found := processes.identify(pid)):
                processes.end(found, ADOPTER_SECONDS)

    def _make_directories(self) -> None:
        """The box's root, who is nobody on the host, has to pass through the run directory.

        runc and conmon sync what they write there, so where it is not in memory yet it is made so (10 ms a box).
        """
        place = self.installation
        place.run.mkdir(parents=True, exist_ok=True)
        if not calls.is_in_memory(place.run) and not any(place.run.iterdir()):
            calls.mount("tmpfs", place.run, "tmpfs", 0, f"mode=711,size={RUN_MB}m")
        for directory in (place.run, place.bundles, place.exits, place.runc_root):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o711)
        place.logs.mkdir(parents=True, exist_ok=True)
        for parent in place.bundles.parents:
            if not parent.stat().st_mode & 0o001:
                raise errors.Unavailable(
                    f"cannot run replicas below {place.run}: other users cannot pass {parent}; "
                    f"run chmod o+x {parent} or set ROOST_RUN_DIR",
                    reason="engine_unavailable",
                )

    def _adopt(self, state: BoxState) -> None:
        self.addresses.adopt(IPv4Address(state.address))
        if self.is_alive(state):
            self.rotation.watch(self.log(state).directory)

    def is_alive(self, state: BoxState) -> bool:
        """Whether its process runs, or its monitor has not yet written down how it ended."""
        if state.boot_id != self.boot_id:
            return False
        known = [process for process in (state.init, state.monitor) if process]
        return any(processes.is_alive(process) for process in known)

    def bundle(self, replica_id: str) -> Path:
        return self.installation.bundle(replica_id)

    def exit_file(self, replica_id: str) -> Path:
        return self.installation.exits / replica_id

    def disk(self, replica_id: str) -> Disk:
        return Disk(self.installation.box(replica_id), self.bundle(replica_id) / "rootfs")

    def log(self, state: BoxState) -> ReplicaLog:
        return ReplicaLog(self.installation.logs / state.runtime_id / state.id)

    def kill_monitors(self, replica_id: str) -> None:
        """Of a box whose making was cut off, so that its state does not name them. Looks again, since they fork."""
        for _ in range(KILL_ROUNDS):
            found = self._monitors(replica_id)
            for process in found:
                processes.end(process, 0)
            if not found:
                return

    def _monitors(self, replica_id: str) -> list[Process]:
        kinds = conmon.identity(replica_id), conmon.creating(self.bundle(replica_id))
        return [process for arguments in kinds for process in processes.all_with_arguments(*arguments)]

    def clear(self, replica_id: str) -> None:
        """Remove whatever there is of a box, the state last. What is gone is left alone."""
        state = self.states.get(replica_id)
        if state is None or state.monitor is None:
            self.kill_monitors(replica_id)
        self.cgroups.remove(replica_id)
        runc.forget(self.installation.runc_root, replica_id)
        self.disk(replica_id).remove()
        self._remove_bundle(replica_id)
        self.exit_file(replica_id).unlink(missing_ok=True)
        shutil.rmtree(self.installation.box(replica_id), ignore_errors=True)
        self._release(replica_id)

    def _remove_bundle(self, replica_id: str) -> None:
        """A command that was being started in the box writes there until it notices that the box is gone."""
        bundle = self.bundle(replica_id)
        deadline = monotonic() + BUNDLE_SECONDS
        while bundle.exists() and monotonic() < deadline:
            shutil.rmtree(bundle, ignore_errors=True)

    def _release(self, replica_id: str) -> None:
        state = self.states.get(replica_id)
        if state is not None:
            self.network.detach(IPv4Address(state.address))
            self.addresses.release(IPv4Address(state.address))
            self.states.forget(replica_id)

    def give_back(self) -> None:
        """Have the disks of living boxes return what was deleted in them."""
        for state in self.states:
            if self.is_alive(state):
                self.disk(state.id).give_back()

    def close(self) -> None:
        """Let go. Boxes go on."""
        self.rotation.close()

    def destroy(self) -> None:
        """Remove everything but logs and images."""
        self.states.load()
        for entry in self.installation.boxes.iterdir():
            self.clear(entry.name)
        self.network.destroy()
        firewall.destroy(self.installation)
        self.cgroups.destroy()
        calls.unmount(self.installation.run)
        for directory in (self.installation.run, self.installation.boxes):
            shutil.rmtree(directory, ignore_errors=True)
