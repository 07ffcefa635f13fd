"""What a person reads while a job waits, in sentences."""

from datetime import datetime
from typing import Final

from .jobs import Job

_ENDINGS: Final = {1: "st", 2: "nd", 3: "rd"}


def waiting(job: Job, position: int | None, why: str) -> str:
    """Why a job waits, how far it is, and when it will start as far as that is known."""
    parts = [f"The job waits: {why}."]
    if position is not None:
        parts.append("It is next in the queue." if position == 1 else f"It is about {ordinal(position)} in the queue.")
    if job.starts is not None:
        parts.append(f"It is expected to start about {clock(job.starts)}.")
    return " ".join(parts)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    ending = "th" if 10 < number % 100 < 20 else _ENDINGS.get(number % 10, "th")
    return f"{number}{ending}"


def clock(seconds: float) -> str:
    """A moment to within five minutes, in the site's time; with the day where it is not today."""
    moment = datetime.fromtimestamp(300 * round(seconds / 300)).astimezone()
    today = moment.date() == datetime.now().astimezone().date()
    return moment.strftime("%H:%M %Z" if today else "%A %d %B, %H:%M %Z")
