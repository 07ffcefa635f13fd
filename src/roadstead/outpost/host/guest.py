"""Loads the Spawner class of a system and fits it for its host, without changing the class itself.

The class decides where the server listens, its files, limits and the site's own variables; who the server is and how it
finds the hub comes from the hub, whatever the site's environment settings say.
"""

from importlib.metadata import entry_points
from types import new_class
from typing import Any, Final

from jupyterhub.spawner import Spawner
from traitlets.utils.importstring import import_item

from .processes import KEY_VARIABLE
from .sentences import RefusedError

_GROUP: Final = "jupyterhub.spawners"
_CLASS_DECIDES: Final = ("JUPYTERHUB_SERVICE_URL", "JUPYTERHUB_SSL_", "JUPYTERHUB_ROOT_DIR", "JUPYTERHUB_DEFAULT_URL")
_ADDRESS_OF_HUB: Final = ("JUPYTERHUB_API_URL", "JUPYTERHUB_ACTIVITY_URL")
TOKENS: Final = ("JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN")


def load_class(name: str | type) -> type[Any]:
    """The class by its entry point, its dotted path, or itself. Raises RefusedError when it is not a Spawner class."""
    found = name if isinstance(name, type) else _by_entry_point(name) or _by_path(name)
    if not isinstance(found, type) or not issubclass(found, Spawner):
        raise RefusedError(
            f"spawner_class {_shown(name)} is not a JupyterHub Spawner class. "
            f"Give a name such as {', '.join(sorted(_offered())[:6])}, or the dotted path of a class."
        )
    return found


def _by_entry_point(name: str) -> Any:
    for entry in entry_points(group=_GROUP, name=name):
        try:
            return entry.load()
        except Exception as error:
            raise RefusedError(f"spawner_class '{name}' cannot be loaded: {_reason(error)}") from error
    return None


def _by_path(name: str) -> Any:
    if "." not in name:
        raise RefusedError(
            f"There is no Spawner called '{name}' here. Installed are {', '.join(sorted(_offered()))}; "
            "install the package that brings it beside Roadstead, or give the dotted path of a class."
        )
    try:
        return import_item(name.replace(":", "."))
    except (Exception, SystemExit) as error:
        raise RefusedError(f"spawner_class '{name}' cannot be imported: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}. Check that its package is installed beside Roadstead."


def _offered() -> set[str]:
    return {entry.name for entry in entry_points(group=_GROUP)}


def _shown(name: str | type) -> str:
    return f"'{name}'" if isinstance(name, str) else name.__qualname__


class Identity:
    """What the hub says of a server, for its environment; dropped when the server has started."""

    __slots__ = ("environment", "key")

    def __init__(self, key: str, environment: dict[str, str]) -> None:
        self.key = key
        self.environment = environment

    def put_into(self, env: dict[str, Any], spawner: Any) -> dict[str, Any]:
        """The class's environment with the hub's variables in it."""
        keep = {name for name in env if name.startswith(_CLASS_DECIDES)}
        if spawner.hub_connect_url is not None:
            keep.update(_ADDRESS_OF_HUB)
        hubs = {name: value for name, value in self.environment.items() if name not in keep}
        if spawner.api_token and spawner.api_token != self.environment.get(TOKENS[0]):
            hubs |= dict.fromkeys(TOKENS, spawner.api_token)
        return env | hubs | {KEY_VARIABLE: self.key}


def fit(spawner_class: type[Any]) -> type[Any]:
    """A subclass of the same name whose environment carries the hub's variables and the attempt's key."""

    def get_env(self: Any) -> dict[str, Any]:
        env: dict[str, Any] = spawner_class.get_env(self)
        identity: Identity | None = getattr(self, "roadstead_identity", None)
        return identity.put_into(env, self) if identity else env

    def section_names(_cls: type[Any]) -> list[str]:
        # Traitlets applies each name's section once per occurrence; `.append()` would otherwise append twice.
        return list(spawner_class.section_names())

    namespace = {
        "__module__": spawner_class.__module__,
        "__qualname__": spawner_class.__qualname__,
        "__doc__": spawner_class.__doc__,
        "get_env": get_env,
        "section_names": classmethod(section_names),
        "roadstead_identity": None,
    }
    return new_class(spawner_class.__name__, (spawner_class,), exec_body=lambda body: body.update(namespace))
