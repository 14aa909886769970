"""What a box runs: the image's defaults under the replica's wishes, decided before anything is made.

Pure but for looking into the image, so that a command that cannot start is refused at once with a clear message.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from roost_server.domain import errors
from roost_server.domain.replica import ReplicaSpec
from roost_server.engines.oci import rootfs
from roost_server.engines.oci.image import UnpackedImage
from roost_server.engines.oci.process import hostfiles, users

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INIT_INSIDE = "/.roost/init"
OWN_INITS = {"init", "systemd", "tini", "dumb-init", "catatonit", "s6-svscan", "docker-init", "runsvdir"}
"""An entrypoint that is one of these reaps by itself, and some insist on being process 1."""


@dataclass(frozen=True)
class Process:
    """`arguments` begin with the init unless the image brings its own."""

    arguments: list[str]
    env: dict[str, str]
    user: users.User
    workdir: str
    stop_signal: str

    @property
    def has_init(self) -> bool:
        return self.arguments[0] == INIT_INSIDE


def decide(spec: ReplicaSpec, image: UnpackedImage, extra_certificates: bool) -> Process:
    """Raises `Invalid` (reason `start_failed`) when the image cannot run it."""
    user = users.look_up(image.rootfs, spec.user or image.config.user)
    workdir = spec.workdir or image.config.workdir or "/"
    env = environment(spec, image, user, extra_certificates)
    arguments = _arguments(spec, image)
    _check_executable(arguments[0], image.rootfs, env["PATH"], workdir)
    if PurePosixPath(arguments[0]).name not in OWN_INITS:
        arguments = [INIT_INSIDE, "--", *arguments]
    return Process(arguments, env, user, workdir, image.config.stop_signal or "SIGTERM")


def _arguments(spec: ReplicaSpec, image: UnpackedImage) -> list[str]:
    """A command of the replica's own replaces the image's cmd too, as in Kubernetes."""
    if spec.command:
        return [*spec.command, *spec.args]
    arguments = [*image.config.entrypoint, *(spec.args or image.config.cmd)]
    if not arguments:
        raise _invalid("the image says no command", "set process.command")
    return arguments


def environment(spec: ReplicaSpec, image: UnpackedImage, user: users.User, extra_certificates: bool) -> dict[str, str]:
    env = {"PATH": DEFAULT_PATH, "HOME": user.home, "HOSTNAME": spec.hostname}
    if extra_certificates:
        env |= {name: hostfiles.CERTIFICATES_INSIDE for name in hostfiles.CERTIFICATE_VARIABLES}
    for item in image.config.env:
        name, _, value = item.partition("=")
        env[name] = value
    return env | spec.env


def _check_executable(name: str, root: Path, search_path: str, workdir: str) -> None:
    if rootfs.find_executable(root, name, search_path, workdir) is not None:
        return
    path = name if name.startswith("/") else f"{workdir}/{name}"
    if "/" in name and rootfs.resolve(root, path) is not None:
        raise _invalid(f'"{name}" is not an executable file', "check process.command or the image's entrypoint")
    where = "in the image" if "/" in name else f"in the image's PATH ({search_path})"
    raise _invalid(f'"{name}" is not found {where}', "check process.command or the image's entrypoint")


def _invalid(what: str, advice: str) -> errors.Invalid:
    return errors.Invalid(f"cannot start the replica: {what}; {advice}", reason="start_failed")
