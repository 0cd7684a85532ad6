"""Numbers of the directory for Prometheus, gathered when they are asked for: counting costs an answer nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from mailu.servers.bookkeeping import Bookkeeping
from mailu.servers.keeper import SnapshotKeeper


class DirectoryMetrics(Collector):
    """Everything that is counted, read at the moment of the question. No names of people, no secrets."""

    def __init__(
        self,
        *,
        keeper: SnapshotKeeper,
        bookkeeping: Bookkeeping,
        lookups: Mapping[str, int],
        policy: Mapping[str, int],
        logins: Mapping[tuple[str, str], int],
        connections: Callable[[], Mapping[str, int]],
    ) -> None:
        self._keeper = keeper
        self._bookkeeping = bookkeeping
        self._lookups = lookups
        self._policy = policy
        self._connections = connections
        self._logins = logins
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """The exposition text."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """All metric families; called by the registry."""
        yield from self._snapshot()
        yield _counter("mailu_directory_lookups", "Look-ups by map", "map", self._lookups)
        yield _counter("mailu_directory_policy", "Policy answers by first word", "action", self._policy)
        logins = CounterMetricFamily(
            "mailu_directory_logins", "Log-ins by protocol and outcome", labels=["protocol", "outcome"]
        )
        for (protocol, outcome), count in self._logins.items():
            logins.add_metric([protocol, outcome], count)
        yield logins
        connections = GaugeMetricFamily("mailu_directory_connections", "Open connections", labels=["listener"])
        for listener, count in self._connections().items():
            connections.add_metric([listener], count)
        yield connections
        yield GaugeMetricFamily(
            "mailu_directory_bookkeeping_waiting",
            "Used quota and log-ins not stored yet",
            value=self._bookkeeping.waiting,
        )

    def _snapshot(self) -> Iterator[Metric]:
        keeper = self._keeper
        yield GaugeMetricFamily(
            "mailu_directory_database_up", "Whether the database answers", value=keeper.database_answers
        )
        yield CounterMetricFamily("mailu_directory_loads", "How often the directory was read", value=keeper.loads)
        yield GaugeMetricFamily(
            "mailu_directory_load_seconds", "How long reading it took last", value=keeper.load_seconds
        )
        if not keeper.ready:
            return
        snapshot = keeper.snapshot
        yield GaugeMetricFamily("mailu_directory_version", "Version that is answered from", value=snapshot.version)
        for name, rows in (
            ("mailboxes", snapshot.users),
            ("aliases", snapshot.aliases),
            ("domains", snapshot.domains),
            ("alternatives", snapshot.alternatives),
            ("relays", snapshot.relays),
        ):
            yield GaugeMetricFamily(f"mailu_directory_{name}", f"Number of {name}", value=len(rows))


def _counter(name: str, documentation: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=[label])
    for key, count in counts.items():
        family.add_metric([key], count)
    return family
