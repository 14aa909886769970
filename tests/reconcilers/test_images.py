"""Images that cannot be fetched now: tried again for as long as something wants them, and as soon as something does."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from roost_server.domain.image import Image, ImageStatus
from roost_server.domain.runtime import Status
from roost_server.operations import images as operations
from roost_server.reconcilers.images import ASKED
from roost_server.store import images, leases, tables
from support.platform import Rig
from support.waiting import eventually

REFERENCE = "registry.example.com/team/registry_unavailable"
GIVEN_UP = "until something is to run it"


async def the_image(rig: Rig) -> Image:
    return await operations.get(rig.context, rig.caller, REFERENCE)


async def make_old(rig: Rig, image: Image) -> None:
    """As if it had been asked for long ago."""
    async with rig.store.write() as tx:
        before = leases.now() - ASKED - timedelta(seconds=1)
        await tx.run(sa.update(tables.images).where(tables.images.c.id == image.id).values(created_at=before))


async def after_trying_again(rig: Rig, image: Image) -> Image:
    """The image after it was tried from beginning to end, without waiting until it is due: the first of two tries may
    have begun before."""
    enough = len(rig.images.passwords) + 2

    async def tried() -> Image | None:
        async with rig.store.write() as tx:
            row = await tx.first(sa.select(tables.images.c.lease_token).where(tables.images.c.id == image.id))
            if row is None or row["lease_token"] is not None:
                return None
            if len(rig.images.passwords) >= enough:
                return await images.get(tx, image.id)
            await leases.wake(tx, tables.images, image.id)
            return None

    found = await eventually(tried)
    assert found is not None
    return found


async def failed_once(rig: Rig) -> Image:
    async def told() -> Image | None:
        image = await the_image(rig)
        return image if image.message else None

    image = await eventually(told)
    assert image is not None
    return image


async def is_not_due(rig: Rig, image: Image) -> bool:
    async with rig.store.read() as tx:
        row = await tx.first(sa.select(tables.images.c.wake_at).where(tables.images.c.id == image.id))
        return row is not None and row["wake_at"] is None


async def given_up(rig: Rig) -> Image:
    """An image that nothing wants any more, and that is not tried any more."""
    await rig.create("agent", image=REFERENCE)
    image = await failed_once(rig)
    await rig.delete("agent")
    await rig.until_gone("agent")
    await make_old(rig, image)
    return await after_trying_again(rig, image)


async def test_an_image_that_nothing_wants_any_more_is_not_tried_for_ever_and_says_so(rig: Rig) -> None:
    image = await given_up(rig)
    assert (image.status, image.reason) == (ImageStatus.PENDING, "registry_unavailable")
    assert image.message is not None and image.message.endswith(f"not answer; it is not tried again {GIVEN_UP}")
    await eventually(lambda: is_not_due(rig, image))


async def test_it_is_tried_again_as_soon_as_a_runtime_wants_it(rig: Rig) -> None:
    image = await given_up(rig)
    rig.images.heal()
    await rig.create("other", image=REFERENCE)
    await rig.until("other", Status.ACTIVE)
    again = await the_image(rig)
    assert (again.id, again.status, again.message) == (image.id, ImageStatus.READY, None)


async def test_it_is_tried_again_when_an_older_version_is_wanted_again(rig: Rig) -> None:
    await rig.create("agent", image=REFERENCE)
    image = await failed_once(rig)
    await rig.act("stop", "agent")
    await rig.until("agent", Status.STOPPED)
    await make_old(rig, image)
    assert (await after_trying_again(rig, image)).status == ImageStatus.PENDING
    rig.images.heal()
    await rig.act("start", "agent")
    await rig.until("agent", Status.ACTIVE)


async def test_an_image_that_a_replica_waits_for_is_tried_however_long_that_takes(rig: Rig) -> None:
    await rig.create("agent", image=REFERENCE)
    image = await failed_once(rig)
    await eventually(lambda: rig.replicas("agent"))
    await make_old(rig, image)
    image = await after_trying_again(rig, image)
    assert image.status == ImageStatus.PULLING
    assert image.message is not None and GIVEN_UP not in image.message
    rig.images.heal()
    async with rig.store.write() as tx:
        await leases.wake(tx, tables.images, image.id)
    await rig.until("agent", Status.ACTIVE)


async def test_an_image_that_comes_while_a_replica_gives_up_for_it_is_not_missed(rig: Rig) -> None:
    reference = "registry.example.com/team/image_not_found"

    async def status() -> ImageStatus:
        return (await operations.get(rig.context, rig.caller, reference)).status

    async def is_ready() -> bool:
        return await status() == ImageStatus.READY

    async def come() -> None:
        """Between reading that it cannot be had and writing that the replica gave up for it."""
        if await status() == ImageStatus.FAILED:
            rig.images.heal()
            await rig.act("start", "agent")
            await eventually(is_ready)

    rig.engine.before_inspect = come
    await rig.create("agent", image=reference)
    await rig.until("agent", Status.ACTIVE)


@pytest.mark.parametrize("old", [False, True])
async def test_an_image_that_was_asked_for_by_hand_is_tried_for_a_while(rig: Rig, old: bool) -> None:
    image = await operations.pull(rig.context, rig.caller, REFERENCE, None)
    if old:
        await make_old(rig, image)
    image = await after_trying_again(rig, image)
    assert image.status == (ImageStatus.PENDING if old else ImageStatus.PULLING)
