"""The host's log on standard error: one line an event, never a secret, a complaint of the configuration only once."""

import logging
import sys
from typing import Final

from .sentences import Secrets

_REPEATED: Final = "Config option `"
"""How traitlets begins its complaint, which comes anew with every Spawner object."""


class _Formatter(logging.Formatter):
    def __init__(self, system: str, secrets: Secrets) -> None:
        super().__init__(f"%(asctime)s %(levelname)s host {system}: %(name)s: %(message)s")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        return self._secrets.hide(super().format(record))


class _Once(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if not text.startswith(_REPEATED):
            return True
        known = text in self._seen
        self._seen.add(text)
        return not known


def set_up_log(system: str, secrets: Secrets) -> None:
    """Send everything to standard error: ours, JupyterHub's and the Spawner class's lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(system, secrets))
    handler.addFilter(_Once())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
