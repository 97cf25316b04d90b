"""Spans of OpenTelemetry around the requests of a client: connect(..., tracing=True).

Clients that are not traced have other classes and run none of this code. A span has the attributes
of OpenTelemetry's conventions for databases: the command, the table, the server and the class of an
error; no key, no value, no password and no text of an error.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Dict, Generator, Iterator, List, Optional, Sequence, TypeVar

import msgpack

from . import __version__, aio, client, frames
from .aio_connection import Arrived
from .errors import UnsupportedFramework
from .frames import Reply
from .opcodes import CREATE_DICT, LIST_HELD, OPCODE_NAMES, TABLES
from .replies import reply_error
from .requests import Request, StreamRequest, WaitingRequest
from .settings import Settings

MAX_NAME_BYTES = 1024  # of a table, for which the server has this limit

try:
    from opentelemetry import trace
except ImportError:
    raise UnsupportedFramework(
        "tracing=True needs opentelemetry-api, which is not installed: pip install 'cyberdb-fast[opentelemetry]'"
    ) from None

T = TypeVar("T")


class _Spans:
    """Makes the spans of one client."""

    def __init__(self, settings: Settings) -> None:
        self._tracer = trace.get_tracer("cyberdb_fast", __version__)
        self._server: Dict[str, Any] = {"db.system.name": "cyberdb_fast", "server.address": settings.unix}
        if not settings.unix:
            self._server.update({"server.address": settings.host, "server.port": settings.port})

    @contextmanager
    def around(self, batch: Sequence[Request[Any]]) -> Generator[Any, None, None]:
        """A span while requests are sent and their replies are awaited."""
        name = _only({OPCODE_NAMES[request.opcode] for request in batch})
        attributes = {**self._server, "db.operation.name": name}
        if len(batch) > 1:
            attributes["db.operation.name"] = name = f"BATCH {name or ''}".rstrip()
            attributes["db.operation.batch.size"] = len(batch)
        table = _only({_table(request) for request in batch})
        if table is not None:
            attributes["db.collection.name"] = table
        with self._tracer.start_as_current_span(
            name,
            kind=trace.SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,  # its text may have a key
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as e:
                _failed(span, e)
                raise


def _only(found: set[T]) -> Optional[T]:
    """What all requests have in common."""
    return next(iter(found)) if len(found) == 1 else None


def _table(request: Request[Any]) -> Optional[str]:
    """The name of the table of a request; None if it is about none."""
    if not CREATE_DICT <= request.opcode <= LIST_HELD or request.opcode == TABLES:
        return None
    at = 8 * bool(request.flags & frames.IF_VERSION) + 8 * bool(request.flags & frames.TIME_TO_LIVE)
    if request.flags & frames.EXTENSIONS:
        at += 2 + int.from_bytes(request.payload[at : at + 2], "little")
    unpacker = msgpack.Unpacker(unicode_errors="replace")
    unpacker.feed(request.payload[at : at + 3 + MAX_NAME_BYTES])
    try:
        table: str = unpacker.unpack()
    except msgpack.OutOfData:  # it is longer, and the server will refuse it
        return None
    return table


def _failed(span: Any, e: BaseException) -> None:
    """Says in the span of which class an error was."""
    kind = type(e)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    span.set_attribute("error.type", name)
    span.set_status(trace.StatusCode.ERROR)


def _answered(span: Any, replies: Sequence[Reply]) -> None:
    """Says in the span whether a reply is an error: of several, the first one counts."""
    for reply in replies:
        if reply.status != frames.OK:
            _failed(span, reply_error(reply))
            return


class TracedClient(client.Client):
    """A client whose requests have spans."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._spans = _Spans(settings)

    def perform(self, request: Request[T]) -> T:
        """As cyberdb_fast.Client.perform."""
        with self._spans.around([request]):
            return super().perform(request)

    def perform_stream(self, request: StreamRequest[T]) -> Iterator[T]:
        """As cyberdb_fast.Client.perform_stream."""
        with self._spans.around([request]):
            return super().perform_stream(request)

    def perform_waiting(self, request: WaitingRequest[T]) -> T:
        """As cyberdb_fast.Client.perform_waiting."""
        with self._spans.around([request]):
            return super().perform_waiting(request)

    def perform_all(self, batch: List[Request[Any]]) -> List[Reply]:
        """As cyberdb_fast.Client.perform_all."""
        with self._spans.around(batch) as span:
            replies = super().perform_all(batch)
            _answered(span, replies)
        return replies


class TracedAioClient(aio.Client):
    """A client of asyncio whose requests have spans."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._spans = _Spans(settings)

    async def exchange(self, request: Request[Any]) -> Arrived:
        """As aio.Client.exchange."""
        with self._spans.around([request]) as span:
            arrived = await super().exchange(request)
            _answered(span, [arrived[0]])
        return arrived

    async def exchange_all(self, batch: List[Request[Any]]) -> List[Arrived]:
        """As aio.Client.exchange_all."""
        with self._spans.around(batch) as span:
            arrived = await super().exchange_all(batch)
            _answered(span, [reply for reply, _ in arrived])
        return arrived

    async def perform_waiting(self, request: WaitingRequest[T]) -> T:
        """As aio.Client.perform_waiting."""
        with self._spans.around([request]):
            return await super().perform_waiting(request)
