"""What is counted, in the format of Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("route", "status")
        self.requests = Counter("bottega_requests", "Requests", labels, registry=self.registry)
        self.overhead = Histogram(
            "bottega_overhead_seconds", "Time of a request in which no engine worked", ("route",),
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5), registry=self.registry,
        )  # fmt: skip
        self.used = Counter("bottega_used", "What engines used", ("engine", "unit"), registry=self.registry)
        self.engine_seconds = Counter(
            "bottega_engine_seconds", "Time of engines", ("engine",), registry=self.registry
        )
        self.inside = Gauge(
            "bottega_calls_inside", "Calls that engines work on", ("engine",), registry=self.registry
        )
        self.waiting = Gauge(
            "bottega_calls_waiting", "Calls that wait for an engine", ("engine",), registry=self.registry
        )

        self._known: dict[tuple[Counter, *tuple[str, ...]], Callable[[float], None]] = {}

    def count(self, counter: Counter, *labels: str, by: float = 1) -> None:
        """Count; what stands for the labels is looked up once."""
        add = self._known.get((counter, *labels))
        if add is None:
            add = self._known[counter, *labels] = counter.labels(*labels).inc
        add(by)

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self.registry)
