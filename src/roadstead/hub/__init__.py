"""What lives in a vanilla JupyterHub: a Spawner whose servers run at outposts, and `configure(c)` for the rest."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .configuration import configure
    from .settings import ConfigurationError
    from .spawner import RoadsteadSpawner

__all__ = ["ConfigurationError", "RoadsteadSpawner", "configure"]

_HOME: Final = {"ConfigurationError": "settings", "RoadsteadSpawner": "spawner", "configure": "configuration"}


def __getattr__(name: str) -> Any:
    """Import JupyterHub only for those who ask for what needs it: the client of outposts does without."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
