"""The seam between images and boxes: an image that lies unpacked on this machine, ready to be a lower layer.

Whoever unpacks images gives these out; whoever makes boxes only reads them. Images live under <data_dir>/images.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from roost_server.domain.image import ImageConfig


@dataclass(frozen=True)
class UnpackedImage:
    """`rootfs` is a read-only lower directory, unpacked with the user and group map 0:id_map_start:65536."""

    digest: str
    rootfs: Path
    config: ImageConfig


class UnpackedImages(Protocol):
    def unpacked(self, digest: str) -> UnpackedImage:
        """The image of that digest. Raises `Invalid` (reason `image_not_found`) when it isn't on this machine."""
        ...
