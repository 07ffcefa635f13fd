"""How often a scheduler is asked: at once when something just changed, seldom when all is quiet or it is in trouble.

Questions in a hurry come out of a purse that fills slowly, so that a storm of starts asks no more than a few of them.
"""

import random
from typing import Final

SHORTEST: Final = 0.5
"""Seconds between two questions in a hurry."""
QUIET: Final = 20.0
"""Seconds between two questions while nothing starts or stops."""
PURSE: Final = 6.0
"""Questions that may be asked in a hurry before they become slower."""
FILLING: Final = 2.5
"""Seconds in which one more comes into the purse."""
LOAD: Final = 5.0
"""A question is followed by a pause of at least so many times what it took."""
LONGEST: Final = 300.0
LONGEST_IN_A_HURRY: Final = 30.0
"""Seconds between two questions to a scheduler that does not answer; the first is a cheap one then."""


class Pace:
    """When to ask next. It has no clock: whoever uses it says what time it is, in seconds."""

    def __init__(self) -> None:
        self.failures = 0
        self._asked = float("-inf")
        self._took = 0.0
        self._purse = PURSE
        self._filled = float("-inf")

    def next(self, *, hurry: bool) -> float:
        """The moment of the next question; in the past if it is due."""
        if self.failures:
            longest = LONGEST_IN_A_HURRY if hurry else LONGEST
            return self._asked + min(longest, 2.0 ** min(self.failures, 10))
        pause = max(SHORTEST, (1.0 - self._purse) * FILLING) if hurry else QUIET
        return self._asked + max(pause, LOAD * self._took)

    def asked(self, begun: float, took: float, *, clean: bool) -> None:
        """A question was asked, took so long, and had a clean answer or not."""
        gained = (begun - self._filled) / FILLING if self._filled > float("-inf") else PURSE
        self._purse = max(0.0, min(PURSE, self._purse + gained) - 1.0)
        self._filled = begun
        self._asked, self._took = begun + took, took
        self.failures = 0 if clean else self.failures + 1

    @staticmethod
    def jitter() -> float:
        """A factor by which a pause differs each time, so that many who ask do not ask together."""
        return random.uniform(0.9, 1.1)  # noqa: S311
