"""Turns what a Spawner class raises or shows into one plain sentence for people, with every known secret taken out."""

import re
from html.parser import HTMLParser
from typing import Any, Final

from tornado import web

from ...protocol.model import plain_text
from .calls import GuestCancelledError, GuestExitError, GuestSilentError

_SHORTEST_SECRET: Final = 8
HIDDEN: Final = "[hidden]"


class Secrets:
    """The secrets that this process holds at the moment; nothing that contains one of them is shown or logged."""

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {}

    def keep(self, key: str, values: list[str]) -> None:
        """Hide these values until `drop` is called with the same key."""
        self._values[key] = {value for value in values if len(value) >= _SHORTEST_SECRET}

    def drop(self, key: str) -> None:
        self._values.pop(key, None)

    def hide(self, text: str) -> str:
        for values in list(self._values.values()):
            for value in values:
                if value in text:
                    text = text.replace(value, HIDDEN)
        return text


class RefusedError(Exception):
    """The host itself refuses something; the text is a sentence with a remedy."""


def failure(error: BaseException, spawner_class: str) -> str:
    """Why something failed, in the words that the Spawner meant for people if there are any."""
    if isinstance(error, (RefusedError, GuestExitError, GuestSilentError, GuestCancelledError)):
        return plain_text(str(error))
    meant = str(getattr(error, "jupyterhub_message", "") or "")
    meant = meant or html_to_text(str(getattr(error, "jupyterhub_html_message", "") or ""))
    if isinstance(error, web.HTTPError):
        meant = meant or str(getattr(error, "message", "") or "") or _http_message(error)
    if meant:
        return plain_text(meant)
    text = str(error) or "without saying why"
    return plain_text(f"{spawner_class} failed with {type(error).__name__}: {text}")


def _http_message(error: web.HTTPError) -> str:
    if not error.log_message:
        return error.reason or f"HTTP {error.status_code}"
    try:
        return error.log_message % error.args
    except (TypeError, ValueError):
        return error.log_message


def progress_line(event: Any) -> tuple[int | None, str]:
    """The percentage and the text of what a Spawner's progress() yields; the text is empty when there is none."""
    if not isinstance(event, dict):
        return None, plain_text(str(event or ""))
    text = str(event.get("message") or "") or html_to_text(str(event.get("html_message") or ""))
    progress = event.get("progress")
    if isinstance(progress, bool) or not isinstance(progress, (int, float)) or not 0 <= progress <= 100:
        progress = None
    return None if progress is None else int(progress), plain_text(text)


class _Text(HTMLParser):
    _BREAKS: Final = frozenset({"br", "p", "div", "li", "tr", "h1", "h2", "h3", "h4", "pre"})
    _SILENT: Final = frozenset({"script", "style"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._silent += tag in self._SILENT
        if tag in self._BREAKS:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in self._SILENT and self._silent > 0

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def html_to_text(html: str) -> str:
    """The words of a piece of HTML, without its markup, scripts and styles."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    return re.sub(r"\s+", " ", "".join(parser.parts)).strip()
