"""One installation that most stories share, and names of their own for what they deploy there."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from roost import NotFoundError, Runtime
from support.installation import Installation


@pytest.fixture(scope="session")
def shared() -> Iterator[Installation]:
    """The running installation of all stories that do not kill it."""
    with Installation() as roost:
        yield roost.start()


@pytest.fixture
def own(request: pytest.FixtureRequest) -> Iterator[Callable[..., Installation]]:
    """Makes installations for stories that kill theirs; not started yet."""
    request.node.installations = []
    with ExitStack() as stack:

        def make(**settings: Any) -> Installation:
            roost = stack.enter_context(Installation(**settings))
            request.node.installations.append(roost)
            return roost

        yield make


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The test's name as a runtime may be called."""
    words = re.sub("[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())
    return words[:60].strip("-")


@pytest.fixture
def deploy(shared: Installation, name: str) -> Iterator[Callable[..., Runtime]]:
    """Creates runtimes in the shared installation, called after the test; they are deleted at its end."""
    made: list[str] = []

    def create(*, called: str = "", **options: Any) -> Runtime:
        made.append(f"{name[: 62 - len(called)]}-{called}".strip("-"))
        return shared.client.runtimes.create(made[-1], **options)

    yield create
    for one in made:
        try:
            shared.client.runtimes.delete(one)
        except NotFoundError:
            continue


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed story shows the end of its server's log."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.failed and call.excinfo is not None:
        used = [*getattr(item, "funcargs", {}).values(), *getattr(item, "installations", [])]
        for roost in (one for one in used if isinstance(one, Installation)):
            if roost.root.exists():
                report.sections.append((f"the server's log in {roost.root}", roost.log(60)))
