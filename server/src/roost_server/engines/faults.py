"""The faults that the simulated engine can be asked for, by name."""

from typing import Literal

Fault = Literal[
    "crash_after_create",  # the first create makes the box, then dies without answering
    "exits_at_once",  # every start ends with exit code 1
    "image_lost_once",  # the first create finds that the image is not on the machine
    "never_healthy",  # the probe is never answered with 200
    "out_of_memory",  # every start is killed at the memory limit
    "slow_to_delete",  # takes its whole grace (at most a second) to stop
    "start_fails",  # the command cannot be started
    "unavailable",  # the engine cannot be reached
    "unavailable_once",  # the engine cannot be reached the first time
]
