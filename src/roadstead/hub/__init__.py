"""What lives in a vanilla JupyterHub: a Spawner whose servers run at outposts, and `configure(c)` for the rest."""

from .configure import configure
from .settings import ConfigurationError
from .spawner import RoadsteadSpawner

__all__ = ["ConfigurationError", "RoadsteadSpawner", "configure"]
