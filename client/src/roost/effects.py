"""What differs between the two clients beyond `await`: sleeping, and handing over a body that is read from disk."""

import time
from collections.abc import Iterator

from roost.calls import Body

sleep = time.sleep


def chunks(body: Body) -> Iterator[bytes]:
    """The body's chunks."""
    return body()
