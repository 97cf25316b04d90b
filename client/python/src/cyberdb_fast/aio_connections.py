"""The connections of an asyncio client, and the choice of one for each request."""

from __future__ import annotations

import asyncio
import contextlib
import os
from threading import get_ident
from typing import Any, AsyncGenerator, Dict, List, Optional, Set

from . import replies
from .aio_connection import closed
from .aio_time import first_of
from .aio_waiting import Keeper, WaitingConnection
from .errors import CyberDBError, DisconCyberDBError
from .requests import Request, WaitingRequest
from .settings import Settings

# A connection with this many outstanding bytes is busy: requests use the next one.
BUSY_BYTES = 64 << 10
# When it is tried to give something back if there is no connection: each pause in seconds.
GIVE_BACK_PAUSES = (0.0, 1.0, 1.0)


class LoopConnections:
    """The connections of a client for one event loop of one process. Used on that loop only."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.pid, self.thread = loop, os.getpid(), get_ident()
        self.all: List[Optional[WaitingConnection]] = [None] * settings.max_connections
        self._settings = settings
        self._locks = [asyncio.Lock() for _ in self.all]
        self._end: asyncio.Future[None] = loop.create_future()  # done when the client is closed
        self.keeper = Keeper(self.get)
        self._at = 0  # index of the current connection
        self._cleanup: Optional[AsyncGenerator[None, None]] = None
        self._giving_back: Set[asyncio.Task[None]] = set()

    def ready(self) -> Optional[WaitingConnection]:
        """Returns the current connection; None if it is busy or has to be opened.

        Requests on one connection share system calls. Alternating between two connections costs a
        fifth more.
        """
        connection = self.all[self._at]
        if connection is None or connection.lost is not None or connection.timed_out or connection.doubtful():
            return None
        return connection if connection.outstanding_bytes < BUSY_BYTES else None

    async def get(self) -> WaitingConnection:
        """Returns the current connection, or the next one if it is busy; opens it if necessary.

        Errors: those of connect().
        """
        at = self._at
        connection = self.all[at]
        if connection is not None and connection.usable and not connection.doubtful():
            if connection.outstanding_bytes < BUSY_BYTES:
                return connection
            self._at = at = (at + 1) % len(self.all)
            connection = self.all[at]
            if connection is not None and connection.usable and not connection.doubtful():
                return connection
        async with self._locks[at]:
            if self._cleanup is None:
                self._cleanup = self._until_loop_ends()
                await self._cleanup.__anext__()
            connection = self.all[at]
            if self._end.done():
                raise closed()
            if connection is not None and connection.usable and connection.doubtful():
                await connection.check(self._end)
                if self._end.done():
                    raise closed()
            if connection is None or not connection.usable:
                connection = self.all[at] = await WaitingConnection.open(self._settings, self._end)
        return connection

    async def pause(self, seconds: float) -> None:
        """Waits before a request is repeated. close ends the wait."""
        await first_of(asyncio.Event().wait(), seconds, self._end)

    def give_back(self, request: Request[Any]) -> None:
        """Sends a request that gives back what no task has got, without waiting for the reply.

        If there is no connection, a task sends it, and tries again for some seconds. A request that
        waits is repeated, which brings the same, and undone.
        """
        usable = [connection for connection in self.all if connection is not None and connection.usable]
        if usable and not isinstance(request, WaitingRequest):
            usable[0].post(request)
            return
        task = self.loop.create_task(self._give_back(request))
        self._giving_back.add(task)
        task.add_done_callback(self._giving_back.discard)

    async def _give_back(self, request: Request[Any]) -> None:
        for pause in GIVE_BACK_PAUSES:
            await asyncio.sleep(pause)
            with contextlib.suppress(CyberDBError, OSError):
                connection = await self.get()
                reply, sink = await connection.exchange(request)
                if isinstance(request, WaitingRequest):
                    connection.undo(request, replies.join_parts(reply, sink))
                return

    async def _until_loop_ends(self) -> AsyncGenerator[None, None]:
        """Closes the connections when asyncio.run finalizes its asynchronous generators.

        That is the last chance to send end records before the loop is closed.
        """
        try:
            yield
        finally:
            self.close()

    @property
    def is_closed(self) -> bool:
        """Whether the connections have been closed."""
        return self._end.done()

    def close(self) -> None:
        """Closes all connections and fails what waits for them."""
        self.keeper.close()
        for task in self._giving_back:
            task.cancel()
        if not self._end.done():
            self._end.set_result(None)
        for connection in self.all:
            if connection is not None:
                connection.close()

    def abort(self) -> None:
        """Closes all connections after the event loop has been closed. Any thread may call it."""
        for connection in self.all:
            if connection is not None:
                connection.abort()

    def detach(self) -> None:
        """In a forked child: gives up the parent's connections."""
        for connection in self.all:
            if connection is not None:
                connection.detach()


class Connections:
    """The connections of a client for all event loops that use it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._current: Optional[LoopConnections] = None  # of the loop that used them last
        # Each change is one atomic step. There is no lock, which a fork could leave locked forever.
        self._loops: Dict[asyncio.AbstractEventLoop, LoopConnections] = {}
        self._closed = False

    def ready(self) -> Optional[WaitingConnection]:
        """Returns the running loop's current connection; None if for_loop has to choose."""
        current = self._current
        if current is None or current.thread != get_ident() or not current.loop.is_running():
            return None
        return current.ready()

    def for_loop(self) -> LoopConnections:
        """Returns the connections of the running loop.

        Errors: DisconCyberDBError if the client is closed, or if the loop belongs to the parent
        process.
        """
        if self._closed:
            raise closed()
        pid = os.getpid()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # in a forked child, Python up to 3.11 does not see the parent's loop
            loop = None
        for other, theirs in list(self._loops.items()):
            if theirs.pid != pid:
                theirs.detach()
                if other is not loop:
                    self._loops.pop(other, None)
            elif other.is_closed():
                self._loops.pop(other, None)
                theirs.abort()
        if loop is None or (loop in self._loops and self._loops[loop].pid != pid):
            raise DisconCyberDBError(
                "a forked child cannot use the parent's event loop: start a new one there, with asyncio.run()"
            )
        if loop not in self._loops or self._loops[loop].is_closed:
            self._loops[loop] = LoopConnections(self._settings, loop)
        current = self._current = self._loops[loop]
        current.thread = get_ident()
        return current

    def close(self) -> None:
        """Closes the connections of all loops."""
        self._closed, self._current = True, None
        pid = os.getpid()
        running = None
        with contextlib.suppress(RuntimeError):
            running = asyncio.get_running_loop()
        for loop, connections in list(self._loops.items()):
            self._loops.pop(loop, None)
            if connections.pid != pid:
                connections.detach()
            elif loop is running:
                connections.close()
            elif loop.is_closed():
                connections.abort()
            else:
                with contextlib.suppress(RuntimeError):  # the loop was closed in between
                    loop.call_soon_threadsafe(connections.close)
