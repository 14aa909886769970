"""Which version to go back to, when nobody names one. Pure."""

from roost.errors import RoostError
from roost.models import Endpoint


def version_before(runtime_name: str, endpoint: Endpoint) -> int:
    """The one that last served alone while another should serve or shares the traffic; else the one that is kept
    ready; else the one below. Raises `RoostError` when there is none."""
    if endpoint.version is not None and (endpoint.split or endpoint.target_version != endpoint.version):
        return endpoint.version
    if endpoint.kept is not None:
        return endpoint.kept.version
    serving = endpoint.version or endpoint.target_version
    if serving <= 1:
        raise RoostError(
            f'cannot roll back endpoint "{endpoint.name}" of runtime "{runtime_name}": version {serving} is its first',
            hint=f"see which versions there are with `roost versions {runtime_name}`",
        )
    return serving - 1
