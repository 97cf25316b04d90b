"""The store of starsessions, and a serializer that keeps types.

from cyberdb_fast.adapters.starsessions import CyberDBStore, OwnTypes

store = CyberDBStore("cyberdb://127.0.0.1:9980", password="...", table="sessions")
app.add_middleware(SessionAutoloadMiddleware)
app.add_middleware(SessionMiddleware, store=store, serializer=OwnTypes())
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

from typing import Any, Dict, Union

from cyberdb_fast.aio import Client

from .aio_caching import AsyncTable
from .caching import DEFAULT_SERVER
from .frameworks import require

require("starsessions", "2.2")

from starsessions.serializers import Serializer  # noqa: E402 # its version is known now
from starsessions.stores.base import SessionStore  # noqa: E402

MONTH = 30 * 24 * 60 * 60  # seconds


class CyberDBStore(SessionStore):
    """Stores each session as an entry of a dict in the server, which expires with the session.

    A session is read and written as a whole: of concurrent requests of one session, the last one
    wins. Each method is one request.
    """

    def __init__(
        self,
        server: Union[str, Client] = DEFAULT_SERVER,
        *,
        table: str = "sessions",
        gc_ttl: int = MONTH,
        **options: Any,
    ) -> None:
        """Connects at the first request.

        server is a URL or a client of aio; options are those of cyberdb_fast.aio.connect. gc_ttl is
        the time for which a session without a lifetime is kept after its last write.
        """
        self._entries, self._gc_ttl = AsyncTable(server, table, None, **options), gc_ttl

    async def read(self, session_id: str, lifetime: int) -> Any:
        """Returns what was written, b"" if there is no session with this id."""
        del lifetime
        return await self._entries.perform(lambda table: table.get(session_id, b""))

    async def write(self, session_id: str, data: Any, lifetime: int, ttl: int) -> str:
        """Writes what the serializer has made of a session, for ttl seconds. Returns the id."""
        kept = max(1, ttl if lifetime else self._gc_ttl)
        await self._entries.perform(lambda table: table.set(session_id, data, ttl=kept))
        return session_id

    async def remove(self, session_id: str) -> None:
        """Removes a session if it is there."""
        await self._entries.delete(session_id)

    async def close(self) -> None:
        """Closes the connections, unless they are those of a client that was given."""
        await self._entries.close()


class OwnTypes(Serializer):
    """Stores sessions as they are: values keep their Python types, as those of every table.

    A TypeError is raised for a value of a type that tables cannot store.
    """

    def serialize(self, data: Any) -> Any:
        """Returns data as a dict."""
        return dict(data)

    def deserialize(self, data: Any) -> Dict[str, Any]:
        """Returns data, {} if another serializer has made it."""
        return data if isinstance(data, dict) else {}
