"""Identifiers of attempts: made by the hub, ordered in time, the same everywhere."""

import os
import time
import uuid
from datetime import UTC, datetime


def new_attempt_id() -> str:
    """A UUID version 7 (RFC 9562, section 5.7): later attempts sort after earlier ones, to the millisecond."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return str(uuid.UUID(int=value))


def attempt_time(attempt_id: str) -> datetime:
    """The moment at which the hub made this id."""
    return datetime.fromtimestamp((uuid.UUID(attempt_id).int >> 80) / 1000, UTC)
