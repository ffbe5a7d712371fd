"""The gateway's own series have the text of those of the client library."""

import re
import threading

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.openmetrics import exposition

from instance_agent.gateway.series import CounterTable, HistogramTable

BOUNDS = (0.01, 0.25, 1.0)


def own(registry: CollectorRegistry, values: tuple[float, ...]) -> None:
    counter = CounterTable("spend_usd", "Spend", ("model", "provider"), registry)
    histogram = HistogramTable("answer_seconds", "Time", ("operation",), BOUNDS, registry)
    for value in values:
        counter.add(("m", 'p"1'), value)
        histogram.observe(("chat",), value)


def of_the_library(registry: CollectorRegistry, values: tuple[float, ...]) -> None:
    counter = Counter("spend_usd", "Spend", ("model", "provider"), registry=registry)
    histogram = Histogram("answer_seconds", "Time", ("operation",), buckets=BOUNDS, registry=registry)
    for value in values:
        counter.labels("m", 'p"1').inc(value)
        histogram.labels("chat").observe(value)


@pytest.mark.parametrize("generate", [generate_latest, exposition.generate_latest])
@pytest.mark.parametrize("values", [(), (0.01, 0.02, 5.0, 0.25, 0.0)])
def test_a_scrape_has_the_same_text(generate, values: tuple[float, ...]) -> None:
    texts = []
    for fill in (own, of_the_library):
        registry = CollectorRegistry()
        fill(registry, values)
        texts.append(re.sub(r"(_created\S*) [0-9.e+]+", r"\1 TIME", generate(registry).decode()))
    assert texts[0] == texts[1]
    assert "answer_seconds" in texts[0]


def test_a_scrape_in_another_thread_meets_new_series() -> None:
    registry, done = CollectorRegistry(), threading.Event()
    counter = CounterTable("calls", "Calls", ("model",), registry)

    def scrape() -> None:
        while not done.is_set():
            generate_latest(registry)

    thread = threading.Thread(target=scrape)
    thread.start()
    for number in range(2000):
        counter.add((f"m{number}",))
    done.set()
    thread.join()
    assert registry.get_sample_value("calls_total", {"model": "m1999"}) == 1
    assert generate_latest(registry).decode().count("calls_total{") == 2000


def test_a_name_that_is_taken_is_refused() -> None:
    registry = CollectorRegistry()
    own(registry, ())
    with pytest.raises(ValueError, match="Duplicated"):
        Counter("spend_usd", "Spend", registry=registry)
