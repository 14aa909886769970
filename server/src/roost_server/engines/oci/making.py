"""Making a box: disk, bundle, process, network, start. One blocking pass; `clear` finds what a killed server
left.

The state is written before anything else is made. Whatever fails takes with it all that was made before.
"""

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from time import perf_counter

from roost_server.domain import errors
from roost_server.domain.replica import ReplicaSpec
from roost_server.engines.oci import rootfs
from roost_server.engines.oci.box import BoxState, Stage
from roost_server.engines.oci.host import Host
from roost_server.engines.oci.image import UnpackedImage
from roost_server.engines.oci.linux import processes
from roost_server.engines.oci.logs import rotation
from roost_server.engines.oci.process import bundle, conmon, hostfiles, process, runc


class Making:
    """One box being made."""

    def __init__(self, host: Host, spec: ReplicaSpec, image: UnpackedImage, spawn: conmon.Spawn) -> None:
        self._host = host
        self._spawn = spawn
        self._spec = spec
        self._image = image
        self._certificates = host.settings.extra_ca_certificates
        self._bundle = host.bundle(spec.id)

    def make(self) -> BoxState:
        """The started box. Raises `Invalid` when it can never start, `Unavailable` when the machine cannot now."""
        wanted = process.decide(self._spec, self._image, self._certificates is not None)
        state = self._begin(wanted)
        try:
            return self._make(state, wanted)
        except OSError as error:
            self._host.clear(self._spec.id)
            raise errors.Unavailable(
                f"cannot make replica {self._spec.id}: {error.strerror}; run roost-server doctor",
                reason="disk_full" if error.errno == 28 else "engine_unavailable",
                detail=str(error),
            ) from error
        except BaseException:
            self._host.clear(self._spec.id)
            raise

    def _begin(self, wanted: process.Process) -> BoxState:
        address = self._host.addresses.take()
        state = BoxState(
            id=self._spec.id,
            runtime_id=self._spec.runtime_id,
            address=str(address),
            stop_signal=wanted.stop_signal,
            stop_grace_seconds=self._spec.stop_grace_seconds,
            boot_id=self._host.boot_id,
        )
        self._host.states.put(state)
        return state

    def _make(self, state: BoxState, wanted: process.Process) -> BoxState:
        began = perf_counter()
        self._make_disk(wanted)
        self._write_bundle(state, wanted)
        disk_made = perf_counter()
        pid = conmon.create(self._monitored(state), self._spawn)
        process_made = perf_counter()
        self._host.network.attach(pid, IPv4Address(state.address))
        network_made = perf_counter()
        started = self._start(state, pid)
        phases = {
            "disk": disk_made - began,
            "network": network_made - process_made,
            "process": process_made - disk_made + perf_counter() - network_made,
        }
        started = replace(started, phases={name: round(seconds, 6) for name, seconds in phases.items()})
        self._host.states.put(started)
        return started

    def _make_disk(self, wanted: process.Process) -> None:
        self._bundle.mkdir(mode=0o711, exist_ok=True)
        self._bundle.chmod(0o711)
        template = self._host.templates.of_size(self._spec.resources.disk_mb)
        root_id = self._host.settings.id_map_start
        self._host.disk(self._spec.id).make(template, self._image, root_id)
        owner = (root_id + wanted.user.uid, root_id + wanted.user.gid)
        rootfs.make_directory(self._bundle / "rootfs", wanted.workdir, owner)

    def _write_bundle(self, state: BoxState, wanted: process.Process) -> None:
        settings, cgroups = self._host.settings, self._host.cgroups
        hostfiles.write(self._bundle, self._spec.hostname, state.address, settings.id_map_start)
        limits = bundle.limits(self._spec.resources, cgroups.limits_swap())
        linux = bundle.linux_section(cgroups.path_of(state.id), settings.id_map_start, limits)
        init = settings.init if wanted.has_init else None
        mounts = bundle.mounts(self._bundle, init, self._write_certificates())
        bundle.write(self._bundle, self._spec, wanted, linux, mounts)

    def _write_certificates(self) -> list[str]:
        if self._certificates is None:
            return []
        trusted = hostfiles.certificates(self._image.rootfs, self._certificates)
        (self._bundle / "ca-certificates.crt").write_bytes(trusted)
        return bundle.certificate_places(self._image.rootfs)

    def _monitored(self, state: BoxState) -> conmon.Monitored:
        return conmon.Monitored(
            conmon=self._host.conmon,
            id=state.id,
            bundle=self._bundle,
            log=self._begin_log(state),
            exits=self._host.installation.exits,
            runtime=self._host.runtime,
            runc_root=self._host.installation.runc_root,
            log_bytes=self._host.rotation.segment_bytes,
        )

    def _begin_log(self, state: BoxState) -> Path:
        log = self._host.log(state)
        rotation.forget_old_replicas(log.directory.parent, {other.id for other in self._host.states})
        current = log.begin()
        self._host.rotation.watch(log.directory)
        return current

    def _start(self, state: BoxState, pid: int) -> BoxState:
        init, monitor = processes.identify(pid), processes.parent_of(pid)
        runc.start(self._host.runtime, self._host.installation.runc_root, state.id)
        now = datetime.now(UTC).isoformat()
        return replace(state, stage=Stage.STARTED, init=init, monitor=monitor, started_at=now)
