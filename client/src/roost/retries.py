"""When a failed request is sent again, and after how long. Pure: the transports sleep and send.

A request that never reached the server is always sent again; one that may have is only when repeating it is
harmless. Waits double from a tenth of a second, so five retries bridge the three seconds of a server's restart.
"""

from roost.calls import Call

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 5.0
TRY_AGAIN = (429, 503)


def delay_after_break(call: Call, attempt: int, retries: int, *, reached: bool) -> float | None:
    """Seconds until the next attempt after a broken connection; None gives up. `attempt` counts from 0."""
    if attempt >= retries or (reached and not call.repeatable):
        return None
    return _back_off(attempt)


def delay_after_status(call: Call, attempt: int, retries: int, status: int, retry_after: str | None) -> float | None:
    """Seconds until the next attempt after an answer; None takes the answer."""
    if status not in TRY_AGAIN or attempt >= retries or not call.repeatable:
        return None
    told = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
    return min(max(_back_off(attempt), told), LONGEST_SECONDS)


def _back_off(attempt: int) -> float:
    return min(FIRST_SECONDS * 2.0**attempt, LONGEST_SECONDS)
