"""Makes the Spawner object of an attempt: configured by file, system and hub, then by the settings of its job."""

import copy
import difflib
import logging
import re
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue
from traitlets import TraitError
from traitlets.config import Config

from ...protocol.host import Job
from ..config import SystemSettings
from .calls import GUEST_ERRORS
from .certificates import CertificateFolder
from .guest import TOKENS, Identity, fit, load_class
from .sentences import RefusedError
from .standin import AUTHENTICATOR, DATABASE, Hubs, UserStandIn, orm_spawner

_LOG: Final = logging.getLogger(__name__)
SERVER_NAME_FIELD: Final = "{SERVERNAME}"
"""Usable in SystemdSpawner.unit_name_template, which knows users only."""


class Builder:
    """Makes Spawner objects of one system."""

    def __init__(self, system: str, settings: SystemSettings, config: Config, certificates: Path) -> None:
        self.system = system
        self.settings = settings
        self.spawner_class = fit(load_class(settings.spawner_class))
        self.certificates = CertificateFolder(certificates)
        self._config = config
        self._hubs = Hubs()
        self._configs: dict[str, Config] = {}
        self._warn_of_strange_sections()

    @property
    def class_name(self) -> str:
        return self.spawner_class.__name__

    @property
    def follows_attempts(self) -> bool:
        """The class names what it starts by the attempt, and its start() takes up what an earlier one began."""
        return bool(getattr(self.spawner_class, "follows_attempts", False))

    @property
    def qualified_name(self) -> str:
        return f"{self.spawner_class.__module__}.{self.spawner_class.__qualname__}"

    def config_of(self, hub: str) -> Config:
        """The configuration for the servers of a hub, later parts winning: the file, the system, the hub."""
        if hub not in self._configs:
            merged = copy.deepcopy(self._config)
            merged.merge(Config(copy.deepcopy(self.settings.config)))
            merged.merge(Config(copy.deepcopy(self.settings.hub_config.get(hub, {}))))
            self._configs[hub] = merged
        return self._configs[hub]

    def build(self, job: Job, *, lenient: bool = False) -> Any:
        """The Spawner of a job, without its state.

        Raises RefusedError when it cannot be made. With `lenient` a setting that the class refuses is passed over,
        for a server that runs must be found and stopped whatever became of its settings.
        """
        request = job.request
        config = self.config_of(job.hub)
        hub = self._hubs.at(request.hub)
        environment = request.environment
        arguments: dict[str, Any] = {
            "user": UserStandIn(job, hub, config),
            "orm_spawner": orm_spawner(job),
            "hub": hub,
            "authenticator": AUTHENTICATOR,
            "config": config,
            "proxy_spec": request.base_url,
            "_deprecated_db_session": DATABASE,
            "oauth_client_id": request.oauth_client_id,
            "oauth_access_scopes": list(request.oauth_access_scopes),
            "oauth_client_allowed_scopes": list(request.oauth_client_allowed_scopes),
            "public_url": environment.get("JUPYTERHUB_PUBLIC_URL", ""),
            "public_hub_url": environment.get("JUPYTERHUB_PUBLIC_HUB_URL", ""),
            "admin_access": environment.get("JUPYTERHUB_ADMIN_ACCESS") == "1",
            "user_options": request.options.model_dump(mode="json"),
        }
        arguments |= self._unit_name(config, request.server_name) | self._ssl(job)
        try:
            spawner = self.spawner_class(**arguments)
        except GUEST_ERRORS as error:
            raise RefusedError(f"{self.class_name} cannot be made: {type(error).__name__}: {error}") from error
        if self.follows_attempts:
            spawner.attempt_key = job.key
        self._apply(spawner, job.settings, lenient)
        return spawner

    def identify(self, spawner: Any, job: Job) -> None:
        """Give the Spawner the token and the identity with which its server will be started."""
        environment = job.request.environment
        spawner.api_token = environment.get(TOKENS[0], "") or environment.get(TOKENS[1], "")
        spawner.roadstead_identity = Identity(job.key, environment)

    def _ssl(self, job: Job) -> dict[str, Any]:
        if job.request.certificates is None:
            return {}
        files = self.certificates.files(job.key, job.request.certificates)
        return {
            "internal_ssl": True,
            "internal_trust_bundles": files.bundles,
            "internal_certs_location": str(files.folder),
            "cert_paths": files.own,
        }

    def _unit_name(self, config: Config, server_name: str) -> dict[str, str]:
        if "unit_name_template" not in self.spawner_class.class_trait_names():
            return {}
        sections = [config[name] for name in reversed(self.spawner_class.section_names()) if name in config]
        values = (section.get("unit_name_template") for section in sections)
        template = next((value for value in values if isinstance(value, str)), "")
        if SERVER_NAME_FIELD not in template:
            return {}
        return {"unit_name_template": template.replace(SERVER_NAME_FIELD, _unit_part(server_name))}

    def _apply(self, spawner: Any, settings: dict[str, JsonValue], lenient: bool) -> None:
        if not settings:
            return
        configurable = set(spawner.trait_names(config=True))
        for name, value in settings.items():
            try:
                _apply_one(spawner, configurable, name, value)
            except RefusedError as error:
                if not lenient:
                    raise
                _LOG.warning("A setting is passed over: %s", error)

    def _warn_of_strange_sections(self) -> None:
        known = set(self.spawner_class.section_names())
        for origin in (self.settings.config, *self.settings.hub_config.values()):
            for section in set(origin) - known:
                _LOG.warning(
                    "System %s has configuration for %s, but its class %s reads only %s.",
                    *(self.system, section, self.class_name, ", ".join(sorted(known))),
                )


def _apply_one(spawner: Any, configurable: set[str], name: str, value: JsonValue) -> None:
    class_name = type(spawner).__name__
    if name not in configurable:
        near = difflib.get_close_matches(name, configurable, 1)
        hint = f"Did the site mean '{near[0]}'?" if near else "See the class's own manual for its settings."
        raise RefusedError(f"{class_name} has no setting '{name}'. {hint}")
    try:
        setattr(spawner, name, copy.deepcopy(value))
    except TraitError as error:
        raise RefusedError(f"The setting '{name}' of {class_name} does not take this value: {error}") from error
    except GUEST_ERRORS as error:
        reason = f"{type(error).__name__}: {error}"
        raise RefusedError(f"The setting '{name}' of {class_name} was refused: {reason}") from error


def _unit_part(server_name: str) -> str:
    """A server's name without a hyphen, so that `{SERVERNAME}-{USERNAME}` can be read in one way only."""
    return re.sub(r"[^A-Za-z0-9]", lambda found: f"_{ord(found[0]):02x}", server_name)
