"""The one version of the wire protocol, and the header in which both sides name it."""

from typing import Final

PROTOCOL_VERSION: Final = 1
"""Raised when a message changes so that an older side would misread it."""

PROTOCOL_HEADER: Final = "Roadstead-Protocol"
"""Request: the version the hub speaks. Answer: the version the outpost speaks. A foreign version is refused."""
