"""What skopeo, buildah and mmdebstrap print when they fail, as errors a person can act on. Pure.

The texts are those of containers/image and of the distribution registry; what is not known counts as a registry that
does not answer, so that it is tried again and the operator's log has the words.
"""

import re

from roost_server.domain import errors, image
from roost_server.domain.config import RegistryAuth
from roost_server.domain.runtime import Reason
from roost_server.engines.oci.images import manifest

_FATAL = re.compile(r'level=(?:fatal|error) msg="((?:[^"\\]|\\.)*)"')
_SIGNS = {
    "full": "no space left on device|disk quota exceeded",
    "refused": "unauthorized|authentication required|invalid username|(?<!permission )denied",
    "missing": "manifest unknown|name unknown|name_unknown|not known to registry|status:? 404|not found",
    "corrupt": "digest did not match|does not match expected|does not match digest|invalid checksum|gzip:",
    "strange": "unsupported|unknown media type|mime type|can not copy",
    "untrusted": "x509|certificate|http response to https",
}
_KINDS = {kind: re.compile(signs, re.IGNORECASE) for kind, signs in _SIGNS.items()}


def of_registry(verb: str, name: str, auth: RegistryAuth | None, said: str) -> errors.RoostError:
    """The error for a `verb` ("pull", "push") of image `name` that ended with `said` on standard error."""
    words = last_words(said)
    kind = next((kind for kind, pattern in _KINDS.items() if pattern.search(_without(words, name))), "silent")
    return _ERRORS[kind](verb, name, auth, words)


def _without(words: str, name: str) -> str:
    """The words without the image's own name, which may read like a failure."""
    host = image.parse(name).remote.partition("/")[0]
    without_tag = re.sub(r"manifest \S+ in", "manifest in", words)
    return " ".join(word for word in without_tag.split() if host not in word and "/v2/" not in word)


def last_words(said: str) -> str:
    """What the program said about its end, without time stamps."""
    fatal = _FATAL.findall(said)
    lines = [line for line in said.strip().split("\n") if line]
    text = fatal[-1].replace('\\"', '"') if fatal else (lines[-1] if lines else "it ended without a word")
    return str(text)[:1000]


def is_full(said: str) -> bool:
    """Whether a program ended because there was no room."""
    return bool(_KINDS["full"].search(said))


def disk_full(verb: str, detail: str) -> errors.Unavailable:
    """It may work once there is room. `verb` with its object: "pull team/agent:v1"."""
    message = f"cannot {verb}: the disk of Roost's data directory is full; free some space or remove images"
    return errors.Unavailable(message, reason=Reason.DISK_FULL, detail=detail)


def _full(verb: str, name: str, auth: RegistryAuth | None, words: str) -> errors.RoostError:
    return disk_full(f"{verb} {name}", words)


def _refused(verb: str, name: str, auth: RegistryAuth | None, words: str) -> errors.RoostError:
    why = (
        f'the registry refused the credentials of user "{auth.username}"; check user name, password and rights'
        if auth
        else "the registry wants credentials, or has no such image; give a user name and password"
    )
    return errors.Invalid(f"cannot {verb} {name}: {why}", reason=Reason.IMAGE_UNAUTHORIZED, detail=words)


def _missing(verb: str, name: str, auth: RegistryAuth | None, words: str) -> errors.RoostError:
    message = f"cannot {verb} {name}: the registry does not have it; check the name and the tag"
    return errors.Invalid(message, reason=Reason.IMAGE_NOT_FOUND, detail=words)


def _corrupt(verb: str, name: str, auth: RegistryAuth | None, words: str) -> errors.RoostError:
    error = manifest.corrupt(name, "the registry's content does not match its digests")
    return errors.Invalid(error.message, reason=error.reason, detail=words)


def _strange(verb: str, name: str, auth: RegistryAuth | None, words: str) -> errors.RoostError:
    error = manifest.invalid(name, "it is not an image that can run here")
    return errors.Invalid(error.message, reason=error.reason, detail=words)


def _untrusted(verb: str, name: str, auth: RegistryAuth | None, words: str) -> errors.RoostError:
    why = "the registry's certificate is not trusted; add its CA to the host or the registry to insecure_registries"
    return errors.Unavailable(f"cannot {verb} {name}: {why}", reason=Reason.REGISTRY_UNAVAILABLE, detail=words)


def _silent(verb: str, name: str, auth: RegistryAuth | None, words: str) -> errors.RoostError:
    why = re.sub(r'^Error parsing image name "[^"]*": ', "", words)[:300]
    message = f"cannot {verb} {name}: the registry does not answer as it should ({why}); check the name and the network"
    return errors.Unavailable(message, reason=Reason.REGISTRY_UNAVAILABLE, detail=words)


_ERRORS = {
    "full": _full,
    "refused": _refused,
    "missing": _missing,
    "corrupt": _corrupt,
    "strange": _strange,
    "untrusted": _untrusted,
    "silent": _silent,
}
