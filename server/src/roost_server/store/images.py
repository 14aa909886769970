"""Images: resolutions of references, and pushes of them to registries."""

from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from roost_server.domain import transitions
from roost_server.domain.config import RegistryAuth
from roost_server.domain.ids import new_id
from roost_server.domain.image import ALLOWED, Image, ImageSource, ImageStatus, Progress
from roost_server.store import pages, statements
from roost_server.store.cipher import Cipher
from roost_server.store.leases import now
from roost_server.store.store import Row, Tx
from roost_server.store.tables import images as table
from roost_server.store.tables import pushes, versions

_NAMES = tuple(Image.__dataclass_fields__)
_COLUMNS = [table.c[name] for name in _NAMES]


def _image(row: Row) -> Image:
    typed = {"source": ImageSource(row["source"]), "status": ImageStatus(row["status"])}
    return Image(**{**row, **typed, "progress": Progress(**row["progress"])})


async def insert(
    tx: Tx,
    workspace_id: str | None,
    reference: str,
    source: ImageSource,
    *,
    auth: RegistryAuth | None = None,
    cipher: Cipher | None = None,
    work: dict[str, Any] | None = None,
) -> Image:
    """A pending image, due now. `work` is what its reconciler needs, such as the path of an uploaded archive."""
    at, image_id = now(), new_id()
    password = cipher.encrypt(auth.password) if auth and cipher else None
    values = {
        "id": image_id,
        "workspace_id": workspace_id,
        "reference": reference,
        "source": source,
        "status": ImageStatus.PENDING,
        "progress": asdict(Progress()),
        "auth_username": auth.username if auth else None,
        "auth_password_encrypted": password,
        "input": work or {},
        "revision": 1,
        "created_at": at,
        "updated_at": at,
        "wake_at": at,
    }
    await tx.run(sa.insert(table).values(**values))
    tx.nudge("images")
    image = await get(tx, image_id)
    assert image is not None
    return image


async def get(tx: Tx, image_id: str) -> Image | None:
    row = await tx.first(statements.by_id(table, _NAMES), row_id=image_id)
    return _image(row) if row else None


def _visible(workspace_id: str) -> sa.ColumnElement[bool]:
    return sa.or_(table.c.workspace_id == workspace_id, table.c.workspace_id.is_(None))


async def find(tx: Tx, workspace_id: str, name: str) -> Image | None:
    """By id, digest or reference, the newest first; ready ones before others."""
    named = sa.or_(table.c.id == name, table.c.digest == name, table.c.reference == name)
    ready_first = sa.case((table.c.status == ImageStatus.READY, 0), else_=1)
    query = sa.select(*_COLUMNS).where(_visible(workspace_id), named).order_by(ready_first, table.c.id.desc())
    row = await tx.first(query.limit(1))
    return _image(row) if row else None


async def find_local(tx: Tx, workspace_id: str, reference: str) -> Image | None:
    """The newest image built or loaded under this name that has not failed."""
    local = (ImageSource.BUILD, ImageSource.LOAD, ImageSource.BUILTIN)
    query = sa.select(*_COLUMNS).where(_visible(workspace_id), table.c.reference == reference)
    query = query.where(table.c.source.in_(local), table.c.status != ImageStatus.FAILED)
    row = await tx.first(query.order_by(table.c.id.desc()).limit(1))
    return _image(row) if row else None


async def find_builtin(tx: Tx) -> Image | None:
    row = await tx.first(sa.select(*_COLUMNS).where(table.c.source == ImageSource.BUILTIN))
    return _image(row) if row else None


async def retry(tx: Tx, image_id: str) -> None:
    """Let a failed image be fetched again; anything else stays as it is. What was uploaded is not there any more."""
    fetched = table.c.source.in_((ImageSource.PULL, ImageSource.BUILTIN))
    failed = sa.and_(table.c.id == image_id, table.c.status == ImageStatus.FAILED, fetched)
    values = {"status": ImageStatus.PULLING, "reason": None, "message": None, "wake_at": now()}
    if await tx.run(sa.update(table).where(failed).values(**values)):
        tx.nudge("images")


async def want(tx: Tx, image_id: str) -> None:
    """Have an image fetched that is not tried any more because nothing wanted it."""
    given_up = sa.and_(table.c.status == ImageStatus.PENDING, table.c.wake_at.is_(None), table.c.lease_token.is_(None))
    values = {"reason": None, "message": None, "wake_at": now(), "updated_at": now()}
    if await tx.run(sa.update(table).where(table.c.id == image_id, given_up).values(**values)):
        tx.nudge("images")


async def fetch_again(tx: Tx, image_id: str) -> None:
    """The machine has lost what a ready image's row promises: have it fetched anew."""
    image = await get(tx, image_id)
    if image is not None and image.status == ImageStatus.READY:
        await set_status(tx, image, ImageStatus.PULLING, wake_at=now())
        tx.nudge("images")


async def find_pull(tx: Tx, workspace_id: str, reference: str, username: str | None) -> Image | None:
    """A pull of the same reference by the same user that is under way, so that deploys at once share it."""
    query = sa.select(*_COLUMNS).where(table.c.workspace_id == workspace_id, table.c.reference == reference)
    query = query.where(table.c.source == ImageSource.PULL, table.c.auth_username.is_not_distinct_from(username))
    under_way = (ImageStatus.PENDING, ImageStatus.PULLING)
    row = await tx.first(query.where(table.c.status.in_(under_way)).order_by(table.c.id.desc()).limit(1))
    return _image(row) if row else None


async def page(tx: Tx, workspace_id: str, limit: int, cursor: str | None) -> tuple[list[Image], str | None]:
    query = sa.select(*_COLUMNS).where(_visible(workspace_id))
    rows, next_cursor = await pages.newest_first(tx, query, table.c.id, limit, cursor)
    return [_image(row) for row in rows], next_cursor


async def local_digests(tx: Tx, workspace_id: str | None) -> dict[str, str]:
    """What FROM may name without a registry: the reference of every ready image of this workspace → its digest."""
    query = sa.select(table.c.reference, table.c.digest).where(table.c.status == ImageStatus.READY)
    query = query.where(_visible(workspace_id) if workspace_id else sa.true()).order_by(table.c.id)
    return {row["reference"]: row["digest"] for row in await tx.all(query)}


async def work_of(tx: Tx, image_id: str, cipher: Cipher) -> tuple[dict[str, Any], RegistryAuth | None]:
    """The reconciler's input and the credentials in clear."""
    columns = (table.c.input, table.c.auth_username, table.c.auth_password_encrypted)
    row = await tx.first(sa.select(*columns).where(table.c.id == image_id))
    if row is None:
        return {}, None
    auth = row["auth_username"] and RegistryAuth(row["auth_username"], cipher.decrypt(row["auth_password_encrypted"]))
    return row["input"], auth


async def set_status(tx: Tx, image: Image, status: ImageStatus, **values: Any) -> None:
    """The one way an image's status changes."""
    transitions.check(ALLOWED, image.status, status)
    values |= {"status": status, "updated_at": now(), "revision": table.c.revision + 1}
    await tx.run(sa.update(table).where(table.c.id == image.id).values(**values))
    tx.nudge("image_changes")


async def set_progress(tx: Tx, image_id: str, progress: Progress) -> None:
    await tx.run(sa.update(table).where(table.c.id == image_id).values(progress=asdict(progress), updated_at=now()))
    tx.nudge("image_changes")


async def delete(tx: Tx, image_id: str) -> None:
    await tx.run(sa.delete(table).where(table.c.id == image_id))


async def is_used(tx: Tx, image_id: str) -> bool:
    return await tx.first(sa.select(versions.c.number).where(versions.c.image_id == image_id).limit(1)) is not None


async def unused(tx: Tx) -> list[Image]:
    """Images that no version runs and nobody would miss: pulled (or never to be), failed, or followed by a newer
    one of that name."""
    used = sa.exists().where(versions.c.image_id == table.c.id)
    newer = table.alias("newer")
    same_name = sa.and_(newer.c.reference == table.c.reference, newer.c.workspace_id == table.c.workspace_id)
    followed = sa.exists().where(same_name, newer.c.id > table.c.id, newer.c.status == ImageStatus.READY)
    disposable = sa.or_(table.c.source == ImageSource.PULL, table.c.status == ImageStatus.FAILED, followed)
    idle = table.c.lease_token.is_(None)
    rows = await tx.all(sa.select(*_COLUMNS).where(~used, disposable, idle))
    return [_image(row) for row in rows]


async def any_under_way(tx: Tx) -> bool:
    """Whether some image is being worked on, so that its content may be here before its row says so."""
    return await tx.first(sa.select(table.c.id).where(table.c.lease_token.is_not(None)).limit(1)) is not None


async def digests(tx: Tx) -> set[str]:
    """The digest of every image that a row keeps."""
    rows = await tx.all(sa.select(table.c.digest).where(table.c.digest.is_not(None)))
    return {row["digest"] for row in rows}


@dataclass(frozen=True)
class Push:
    """A push with its credentials in clear."""

    id: str
    image_id: str
    digest: str
    reference: str
    status: str
    reason: str | None
    message: str | None
    auth: RegistryAuth | None


async def insert_push(tx: Tx, image: Image, reference: str, auth: RegistryAuth | None, cipher: Cipher) -> str:
    """A push of a ready image, due now; its id."""
    at, push_id = now(), new_id()
    secret = {
        "auth_username": auth.username if auth else None,
        "auth_password_encrypted": cipher.encrypt(auth.password) if auth else None,
    }
    row = {"id": push_id, "image_id": image.id, "reference": reference, "status": "pending", "progress": {}}
    await tx.run(sa.insert(pushes).values(**row, **secret, created_at=at, updated_at=at, wake_at=at))
    tx.nudge("pushes")
    return push_id


async def push_work(tx: Tx, push_id: str, cipher: Cipher) -> Push | None:
    query = sa.select(pushes, table.c.digest).join_from(pushes, table).where(pushes.c.id == push_id)
    row = await tx.first(query)
    if row is None:
        return None
    auth = row["auth_username"] and RegistryAuth(row["auth_username"], cipher.decrypt(row["auth_password_encrypted"]))
    names = ("id", "image_id", "digest", "reference", "status", "reason", "message")
    return Push(**{name: row[name] for name in names}, auth=auth)


async def finish_push(tx: Tx, push_id: str, *, status: str, reason: str | None, message: str | None) -> None:
    """Its credentials are not needed any more, and not kept."""
    forgotten = {"auth_username": None, "auth_password_encrypted": None}
    values = {"status": status, "reason": reason, "message": message, "updated_at": now(), **forgotten}
    await tx.run(sa.update(pushes).where(pushes.c.id == push_id).values(**values))
    tx.nudge("image_changes")
