"""From a configuration's source to the image row that a version will run."""

from dataclasses import replace

from roost_server.domain import errors
from roost_server.domain import image as references
from roost_server.domain.config import RuntimeConfig
from roost_server.domain.image import BUILTIN, Image, ImageSource
from roost_server.domain.version import Version
from roost_server.operations.caller import Caller
from roost_server.store import images
from roost_server.store.cipher import Cipher
from roost_server.store.store import Tx


async def resolve(tx: Tx, caller: Caller, config: RuntimeConfig, cipher: Cipher) -> Image:
    """The image to run: the builtin, a local one of that name, a pull under way, or a new pull."""
    source, auth = config.build.source, config.build.auth
    if source.kind == "builtin":
        return await builtin(tx)
    reference = references.parse(source.ref)
    if auth is not None and auth.password is None:
        message = f'cannot pull {source.ref} as "{auth.username}" without a password; send one'
        raise errors.Invalid(message, errors=[errors.FieldError(("config", "build", "auth", "password"), message)])
    if reference.digest is None and auth is None:
        local = await images.find_local(tx, caller.workspace_id, reference.name)
        if local is not None:
            return local
    under_way = await images.find_pull(tx, caller.workspace_id, source.ref, auth.username if auth else None)
    if under_way is not None and auth is None:
        return under_way
    return await images.insert(tx, caller.workspace_id, source.ref, ImageSource.PULL, auth=auth, cipher=cipher)


async def builtin(tx: Tx) -> Image:
    """The builtin's row, inserted when it is not there."""
    found = await images.find_builtin(tx)
    return found or await images.insert(tx, None, BUILTIN, ImageSource.BUILTIN)


async def retry_builtin(tx: Tx) -> Image:
    """The builtin's row; if making it failed, it is tried again."""
    found = await builtin(tx)
    await images.retry(tx, found.id)
    return await images.get(tx, found.id) or found


async def keep_password(tx: Tx, config: RuntimeConfig, before: Version, cipher: Cipher) -> RuntimeConfig:
    """A configuration that names the same user without a password keeps the one stored with the version before,
    unless it names another registry: a password is shown to nobody but the registry it was given for."""
    auth = config.build.auth
    if auth is None or auth.password is not None:
        return config
    _, stored = await images.work_of(tx, before.image_id, cipher)
    if stored is None or stored.username != auth.username or not _same_registry(config, before.config):
        return config
    return replace(config, build=replace(config.build, auth=stored))


def _same_registry(one: RuntimeConfig, other: RuntimeConfig) -> bool:
    return references.parse(one.build.source.ref).host == references.parse(other.build.source.ref).host
