"""Which connection a request takes: each event loop has its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
from threading import get_ident
from typing import AsyncGenerator, Dict, List, Optional

from .aio_connection import Connection, closed
from .errors import DisconCyberDBError
from .settings import Settings

# A connection with as much to do is left alone while there are others.
BUSY_BYTES = 64 << 10


class LoopConnections:
    """The connections of a client in one event loop of one process. Used on that loop."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.pid, self.thread = loop, os.getpid(), get_ident()
        self.all: List[Optional[Connection]] = [None] * settings.max_connections
        self._settings = settings
        self._locks = [asyncio.Lock() for _ in self.all]
        self._end: asyncio.Future[None] = loop.create_future()  # done when the client is closed
        self._at = 0  # the connection in use
        self._held: Optional[AsyncGenerator[None, None]] = None

    def ready(self) -> Optional[Connection]:
        """The connection in use, unless it has much to do or is yet to be opened.

        Requests that share a connection share system calls, too: on two connections in turn they cost a fifth more.
        """
        connection = self.all[self._at]
        return connection if connection is not None and connection.lost is None and not connection.slow and connection.due < BUSY_BYTES else None

    async def opened(self) -> Connection:
        """The next connection when that in use has much to do; one that was lost is opened anew. Errors: those of connect()."""
        at = self._at
        connection = self.all[at]
        if connection is not None and connection.usable:
            if connection.due < BUSY_BYTES:
                return connection
            self._at = at = (at + 1) % len(self.all)
            connection = self.all[at]
            if connection is not None and connection.usable:
                return connection
        async with self._locks[at]:
            if self._held is None:
                self._held = self._while_the_loop_lasts()
                await self._held.__anext__()
            connection = self.all[at]
            if self._end.done():
                raise closed()
            if connection is None or not connection.usable:
                connection = self.all[at] = await Connection.open(self._settings, self._end)
        return connection

    async def _while_the_loop_lasts(self) -> AsyncGenerator[None, None]:
        """asyncio.run ends the asynchronous generators of its loop before it closes that: the last moment for connections to end in order."""
        try:
            yield
        finally:
            self.close()

    @property
    def ended(self) -> bool:
        """Whether they have been closed."""
        return self._end.done()

    def close(self) -> None:
        """Ends them all, and what waits for them."""
        if not self._end.done():
            self._end.set_result(None)
        for connection in self.all:
            if connection is not None:
                connection.close()

    def leave(self) -> None:
        """Ends them all once the loop is closed, from anywhere."""
        for connection in self.all:
            if connection is not None:
                connection.leave()

    def disown(self) -> None:
        """In a forked child: leaves them to the parent."""
        for connection in self.all:
            if connection is not None:
                connection.disown()


class Connections:
    """The connections of a client in all event loops that use it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._here: Optional[LoopConnections] = None  # where they were used last
        # Changed by one step at a time, without a lock: a fork might leave one locked for ever.
        self._loops: Dict[asyncio.AbstractEventLoop, LoopConnections] = {}
        self._closed = False

    def ready(self) -> Optional[Connection]:
        """The connection in use in the running loop; None if arrive has to tell which."""
        here = self._here
        if here is None or here.thread != get_ident() or not here.loop.is_running():
            return None
        return here.ready()

    def arrive(self) -> LoopConnections:
        """Those of the running loop. Errors: DisconCyberDBError if the client is closed, or the loop is that of a parent process."""
        if self._closed:
            raise closed()
        pid = os.getpid()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # Python up to 3.11 denies that the parent's loop runs
            loop = None
        for other, theirs in list(self._loops.items()):
            if theirs.pid != pid:
                theirs.disown()
                if other is not loop:
                    self._loops.pop(other, None)
            elif other.is_closed():
                self._loops.pop(other, None)
                theirs.leave()
        if loop is None or (loop in self._loops and self._loops[loop].pid != pid):
            raise DisconCyberDBError("an event loop cannot go on in a forked child: start a new one there, by asyncio.run()")
        if loop not in self._loops or self._loops[loop].ended:
            self._loops[loop] = LoopConnections(self._settings, loop)
        here = self._here = self._loops[loop]
        here.thread = get_ident()
        return here

    def close(self) -> None:
        """Ends those of all loops."""
        self._closed, self._here = True, None
        pid = os.getpid()
        running = None
        with contextlib.suppress(RuntimeError):
            running = asyncio.get_running_loop()
        for loop, connections in list(self._loops.items()):
            self._loops.pop(loop, None)
            if connections.pid != pid:
                connections.disown()
            elif loop is running:
                connections.close()
            elif loop.is_closed():
                connections.leave()
            else:
                with contextlib.suppress(RuntimeError):  # it has been closed meanwhile
                    loop.call_soon_threadsafe(connections.close)
