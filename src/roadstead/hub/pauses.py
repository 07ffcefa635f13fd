"""Pauses between tries: doubling up to a longest, with some jitter so that hubs and servers do not come all at once."""

import random
from collections.abc import Iterator


def pauses(first: float, longest: float) -> Iterator[float]:
    """Seconds to wait before each next try, for ever."""
    pause = first
    while True:
        yield pause * random.uniform(0.8, 1.2)  # noqa: S311
        pause = min(2 * pause, longest)
