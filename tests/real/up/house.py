"""A real `roadstead up` in a state folder of its own, driven as a person would: signals, HTTP, the command line."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

ROADSTEAD = str(Path(sys.executable).with_name("roadstead"))
OPTIONS = {"system": "local/this-machine", "app": "lab", "flavor": "small"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until[T](what: str, check: Callable[[], T], seconds: float = 60.0) -> T:
    """Poll until the check gives something true."""
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, f"not within {seconds} seconds: {what}"
        time.sleep(0.1)
    return value
