"""Prometheus metrics of an outpost. Their names are part of the interface; the manual lists them."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from ..protocol.servers import ServerState
from .hosts import HostStatus
from .rows import Attempt

_START_BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14_400, 86_400)


class Metrics:
    """Counters that live as long as the process, and gauges that are set when somebody looks."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._accepted = Counter(
            "roadstead_accepted", "Attempts that were admitted.", ["system"], registry=self._registry
        )
        self._ended = Counter(
            "roadstead_ended", "Attempts that ended, by reason.", ["system", "reason"], registry=self._registry
        )
        self._start_seconds = Histogram(
            "roadstead_start_seconds",
            "From admitted to running.",
            ["system"],
            buckets=_START_BUCKETS,
            registry=self._registry,
        )
        self._lost = Counter(
            "roadstead_host_lost", "Hosts that ended or fell silent.", ["system"], registry=self._registry
        )
        self._servers = Gauge("roadstead_servers", "Live attempts.", ["system", "state"], registry=self._registry)
        self._up = Gauge("roadstead_host_up", "Whether the host takes orders.", ["system"], registry=self._registry)
        self._watched = Gauge(
            "roadstead_host_watched", "Servers that the host polls.", ["system"], registry=self._registry
        )
        self._poll_age = Gauge(
            "roadstead_host_oldest_poll_seconds",
            "Age of the least recently answered poll.",
            ["system"],
            registry=self._registry,
        )
        self._streams = Gauge("roadstead_streams", "Event streams that hubs have open.", registry=self._registry)

    def accepted(self, system: str) -> None:
        """An attempt was admitted."""
        self._accepted.labels(system).inc()

    def moved(self, before: Attempt, after: Attempt) -> None:
        """An attempt came into a new state."""
        state = after.record.state
        if state is ServerState.RUNNING and after.running_at is not None:
            self._start_seconds.labels(after.system).observe(after.running_at - before.accepted_at)
        elif state is ServerState.ENDED and after.record.end is not None:
            self._ended.labels(after.system, after.record.end.code.value).inc()

    def host_lost(self, system: str) -> None:
        """A host ended or was ended."""
        self._lost.labels(system).inc()

    def render(self, counts: list[tuple[str, str, int]], hosts: dict[str, HostStatus], streams: int) -> bytes:
        """The text that Prometheus reads."""
        self._servers.clear()
        for system in hosts:
            for state in ServerState:
                if state is not ServerState.ENDED:
                    self._servers.labels(system, state.value).set(0)
        for system, state_name, number in counts:
            self._servers.labels(system, state_name).set(number)
        for system, status in hosts.items():
            self._up.labels(system).set(status.up)
            self._watched.labels(system).set(status.watched)
            self._poll_age.labels(system).set(status.oldest_poll)
        self._streams.set(streams)
        return generate_latest(self._registry)
