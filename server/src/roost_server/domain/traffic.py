"""Traffic: what the gateway counted of the requests to one version behind one endpoint."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

Key = tuple[str, int]
"""An endpoint's id and a version."""


@dataclass(frozen=True)
class Counts:
    """Requests that were answered, how many of them with 5xx or not at all, and how long they took: how many (value)
    took about so many milliseconds (key). Either since the gateway's process began or between two readings."""

    requests: int = 0
    errors: int = 0
    durations: Mapping[float, int] = field(default_factory=dict)

    def since(self, earlier: "Counts") -> "Counts":
        """What came after an earlier reading. A gateway that was started anew counts from zero, which shows."""
        if earlier.requests > self.requests:
            return self
        return Counts(
            self.requests - earlier.requests,
            max(0, self.errors - earlier.errors),
            {
                took: count - earlier.durations.get(took, 0)
                for took, count in self.durations.items()
                if count > earlier.durations.get(took, 0)
            },
        )

    def plus(self, other: "Counts") -> "Counts":
        return Counts(
            self.requests + other.requests,
            self.errors + other.errors,
            dict(Counter(self.durations) + Counter(other.durations)),
        )

    @property
    def error_rate(self) -> float:
        """Between 0 and 1; 0 without requests."""
        return self.errors / self.requests if self.requests else 0.0

    def quantile(self, share: float) -> float | None:
        """Milliseconds within which this share of the requests was answered; None without any."""
        total = sum(self.durations.values())
        seen = 0
        for took, count in sorted(self.durations.items()):
            seen += count
            if seen >= share * total:
                return took
        return None
