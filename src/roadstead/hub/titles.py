"""What an outpost calls its systems, apps and flavors, as far as it has said; of stopped servers only names stay."""

from ..protocol.servers import ServerView
from ..protocol.systems import SystemView
from .records import Labels


class Titles:
    """Learns from whatever the outpost tells."""

    def __init__(self) -> None:
        self._titles: dict[tuple[str, str, str], str] = {}

    def learn_offer(self, offer: SystemView) -> None:
        """Somebody was offered a system."""
        self._titles[offer.name, "", ""] = offer.display_name
        for kind, entries in (("app", offer.apps), ("flavor", offer.flavors)):
            for entry in entries:
                self._titles[offer.name, kind, entry.name] = entry.display_name

    def learn_server(self, view: ServerView) -> None:
        """A server was described."""
        titles = (("", "", view.titles.system), ("app", view.app, view.titles.app))
        for kind, name, title in (*titles, ("flavor", view.flavor, view.titles.flavor)):
            if name is not None and title is not None:
                self._titles[view.system, kind, name] = title

    def of(self, system: str, app: str | None, flavor: str | None, unknown: str) -> Labels:
        """Names in words; `unknown` is what a system is called that the outpost has not told of."""
        return Labels(
            self._titles.get((system, "", ""), unknown),
            app and self._titles.get((system, "app", app), app),
            flavor and self._titles.get((system, "flavor", flavor), flavor),
        )
