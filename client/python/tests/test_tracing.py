"""Spans of OpenTelemetry: `.ci/adapters` runs this, where OpenTelemetry is installed."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Dict, Iterable, List, Tuple

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import ConnectionLost, Server, aio
from hostile import frame, man_in_the_middle

SECRETS = (PASSWORD, "the key", "the value")
_exporter = InMemorySpanExporter()
Span = Tuple[str, Dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def provider() -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(_exporter))
    trace.set_tracer_provider(provider)


@pytest.fixture
def spans(server: Server) -> Callable[[], List[Span]]:
    """The names and attributes of the spans since the last call, without what all have."""
    _exporter.clear()

    def finished() -> List[Span]:
        found = []
        for span in _exporter.get_finished_spans():
            attributes = dict(span.attributes or {})
            assert span.kind is trace.SpanKind.CLIENT
            assert not any(secret in span.to_json() for secret in SECRETS)
            assert attributes.pop("db.system.name") == "cyberdb_fast"
            assert attributes.pop("server.address") == "127.0.0.1"
            assert isinstance(attributes.pop("server.port"), int)
            assert attributes.pop("db.operation.name") == span.name
            assert span.status.is_ok == ("error.type" not in attributes)
            found.append((span.name, attributes))
        _exporter.clear()
        return found

    return finished


def expected(table: str) -> List[Span]:
    """The spans of both programs below."""
    of_table = {"db.collection.name": table}
    return [
        ("CREATE DICT", of_table),
        ("DICT SET", of_table),
        ("DICT GET", of_table),
        ("DICT GET", {**of_table, "error.type": "KeyError"}),
        ("DICT SET", {**of_table, "error.type": "cyberdb_fast.errors.VersionMismatch"}),
        ("DICT SET", of_table),
        ("DICT ITEMS", of_table),
        ("CREATE LIST", {"db.collection.name": "a queue"}),
        ("LIST TAKE", {"db.collection.name": "a queue"}),
        ("BATCH DICT INCREMENT", {**of_table, "db.operation.batch.size": 2}),
        ("BATCH", {"db.operation.batch.size": 2, "error.type": "IndexError"}),
        ("DICT LEN", of_table),
        ("KIND", {"db.collection.name": "nothing", "error.type": "cyberdb_fast.errors.NoSuchTable"}),
        ("TABLES", {}),
        ("DROP", {"db.collection.name": "a queue"}),
    ]


def test_spans(server: Server, spans: Callable[[], List[Span]], new_name: Callable[[], str]) -> None:
    name = new_name()
    with cyberdb_fast.connect(f"{server.url}?tracing=true", password=PASSWORD) as client, client.get_proxy() as proxy:
        d: Any = proxy.create_cyberdict(name)
        d["the key"] = "the value"
        assert d["the key"] == "the value"
        with pytest.raises(KeyError):
            d["no key"]
        with pytest.raises(cyberdb_fast.VersionMismatch):
            d.set_if("the key", "the value", 0)
        d.durable.set("the key", 1, ttl=60)
        assert [*iter(d.items())] == [("the key", 1)]
        queue = proxy.create_cyberlist("a queue")
        assert queue.take(wait=0.01) is None
        for table in (d, queue):
            with proxy.pipeline() as pipe:
                pipe.on(d).increment("the key")
                pipe.on(table).increment("the key") if table is d else pipe.on(queue).get(5)
        with proxy.pipeline() as pipe:
            pipe.on(d).len()
        with pytest.raises(cyberdb_fast.NoSuchTable):
            proxy.get_cyberdict("nothing")
        proxy.tables()
        proxy.delete_table("a queue")
        assert spans() == expected(name)
        with pytest.raises(ValueError, match="1024 bytes"):
            proxy.delete_table("x" * 2000)
        error = {"error.type": "ValueError"}
        assert spans() == [("DROP", error)]


def test_spans_of_asyncio(server: Server, spans: Callable[[], List[Span]], new_name: Callable[[], str]) -> None:
    name = new_name()

    async def main() -> None:
        async with await aio.connect(server.url, password=PASSWORD, tracing=True) as client:
            async with client.get_proxy() as proxy:
                d: Any = await proxy.create_cyberdict(name)
                await d.set("the key", "the value")
                assert await d["the key"] == "the value"
                with pytest.raises(KeyError):
                    await d["no key"]
                with pytest.raises(cyberdb_fast.VersionMismatch):
                    await d.set_if("the key", "the value", 0)
                await d.durable.set("the key", 1, ttl=60)
                assert [item async for item in d.items()] == [("the key", 1)]
                queue = await proxy.create_cyberlist("a queue")
                assert await queue.take(wait=0.01) is None
                for table in (d, queue):
                    async with proxy.pipeline() as pipe:
                        pipe.on(d).increment("the key")
                        pipe.on(table).increment("the key") if table is d else pipe.on(queue).get(5)
                async with proxy.pipeline() as pipe:
                    pipe.on(d).len()
                with pytest.raises(cyberdb_fast.NoSuchTable):
                    await proxy.get_cyberdict("nothing")
                await proxy.tables()
                await proxy.delete_table("a queue")

    asyncio.run(main())
    assert spans() == expected(name)


def test_spans_of_lost_connections(server: Server, spans: Callable[[], List[Span]]) -> None:
    """A repeated request has one span; spans are children of the program's own."""
    seen: List[bytes] = []

    def answer(request_id: int) -> Iterable[bytes]:
        if len(seen) == 1:
            raise ConnectionError
        return [frame(request_id, b"\x05")]

    with man_in_the_middle(server, answer, seen) as url:
        with cyberdb_fast.connect(url, password=PASSWORD, tracing=True) as client:
            proxy = client.get_proxy()
            proxy.connect()
            d: Any = cyberdb_fast.CyberDict(proxy, "t")
            with trace.get_tracer("program").start_as_current_span("parent") as parent:
                assert d["the key"] == 5
            ours, program = _exporter.get_finished_spans()
            assert ours.parent is not None
            assert ours.parent.span_id == parent.get_span_context().span_id == program.get_span_context().span_id
            _exporter.clear()
            seen.clear()
            with pytest.raises(ConnectionLost):
                d.increment("the key")
    lost = {"db.collection.name": "t", "error.type": "cyberdb_fast.errors.ConnectionLost"}
    assert spans() == [("DICT INCREMENT", lost)]


def test_a_cancelled_task_ends_its_span(server: Server, spans: Callable[[], List[Span]]) -> None:
    async def main() -> None:
        async with await aio.connect(server.url, password=PASSWORD, tracing=True) as client:
            async with client.get_proxy() as proxy:
                queue = await proxy.create_cyberlist("a queue")
                waiting = asyncio.ensure_future(queue.take(wait=None))
                await asyncio.sleep(0.02)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                await proxy.delete_table("a queue")

    asyncio.run(main())
    of_queue = {"db.collection.name": "a queue"}
    cancelled = ("LIST TAKE", {**of_queue, "error.type": "asyncio.exceptions.CancelledError"})
    assert spans() == [("CREATE LIST", of_queue), cancelled, ("DROP", of_queue)]


def test_clients_without_tracing_have_no_spans(server: Server, spans: Callable[[], List[Span]]) -> None:
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        proxy.ping()
        assert type(client) is cyberdb_fast.Client
    assert spans() == []
