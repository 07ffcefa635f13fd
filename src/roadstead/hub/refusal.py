"""Turns our errors into those that JupyterHub shows as they are, on both of its lines: a sentence, no traceback."""

from jupyterhub import spawner as jupyterhub_spawner
from tornado import web

from ..protocol.errors import RoadsteadError

_SPAWN_EXCEPTION = getattr(jupyterhub_spawner, "SpawnException", None)
"""JupyterHub 6 has an exception for what is refused rather than broken."""


def refusal(error: RoadsteadError, status: int | None = None, reason: str = "") -> web.HTTPError:
    """The exception to raise in a Spawner or handler; pages and REST show its sentence."""
    code = status or error.status
    if _SPAWN_EXCEPTION is not None:
        exception: web.HTTPError = _SPAWN_EXCEPTION(error.sentence, reason=reason or error.code.value, status_code=code)
    else:
        exception = web.HTTPError(code, error.sentence)
    # JupyterHub's pages show this attribute and, without it, the exception's technical text.
    exception.jupyterhub_message = error.sentence  # type: ignore[attr-defined]
    return exception
