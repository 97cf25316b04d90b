"""Sessions of Starlette, and so of FastAPI, whose data are in the server.

    from cyberdb_fast.adapters.starlette import SessionMiddleware

    app = Starlette(routes=routes)
    app.add_middleware(SessionMiddleware, server="cyberdb://127.0.0.1:9980", table="sessions")

request.session is a dict, as with Starlette's own middleware.
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

import re
import secrets
from typing import Any, Awaitable, Callable, Literal, MutableMapping, Optional, Union

from cyberdb_fast.aio import Client

from .aio_caching import AsyncTable
from .caching import DEFAULT_SERVER
from .frameworks import require

require("starlette", "1.10")

from starlette.datastructures import MutableHeaders  # noqa: E402 # its version is known now
from starlette.middleware import sessions  # noqa: E402
from starlette.requests import HTTPConnection  # noqa: E402

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

DEFAULT_MAX_AGE = 14 * 24 * 60 * 60  # seconds
# An unchanged session is renewed when this part of its time has passed.
RENEW_AFTER = 1 / 10
ID = re.compile(r"[A-Za-z0-9_-]{43}")  # of secrets.token_urlsafe(32)


class Session(sessions.Session):
    """The session of a request: Starlette's, with an id that changes when it is cleared."""

    def __init__(self, data: Any = (), session_id: Optional[str] = None, seconds_left: Optional[float] = None) -> None:
        super().__init__(data)
        self.stored_id = session_id  # None: it is new
        self.seconds_left = seconds_left
        self.takes_new_id = session_id is None

    def clear(self) -> None:
        """Empties it. What is added afterwards is a new session, with a new id."""
        self.regenerate()
        super().clear()

    def regenerate(self) -> None:
        """Gives it a new id, and makes the old one invalid: do so when a user logs in."""
        self.mark_modified()
        self.takes_new_id = True


class SessionMiddleware:
    """Gives each request its session, which is an entry of a dict in the server.

    The cookie has a random id, which the server alone makes: an id that it does not know begins no
    session. Values keep their Python types. A value of a type that tables cannot store is a
    TypeError when the response begins.

    A session expires max_age after its last use. To renew it, and its cookie, each tenth of max_age
    is enough. With max_age=None, the cookie ends with the browser, and the entry 14 days after its
    last use.

    As with Starlette's middleware, a session is read when a request begins and written as a whole
    when its response begins, if it was changed: of concurrent requests of one session, the last one
    wins. But if one has cleared the session or given it a new id, the changes of the others are
    lost: a session that has ended does not come back. A change inside a value counts after
    session.mark_modified(). Websockets read a session and do not write it.
    """

    def __init__(
        self,
        app: App,
        server: Union[str, Client] = DEFAULT_SERVER,
        *,
        table: str = "sessions",
        session_cookie: str = "session",
        max_age: Optional[int] = DEFAULT_MAX_AGE,
        path: str = "/",
        same_site: Literal["lax", "strict", "none"] = "lax",
        https_only: bool = False,
        domain: Optional[str] = None,
        partitioned: bool = False,
        **options: Any,
    ) -> None:
        """Connects at the first request with a session.

        server is a URL or a client of aio; options are those of cyberdb_fast.aio.connect. The
        others are those of Starlette's middleware.
        """
        self.app = app
        self._entries = AsyncTable(server, table, None, **options)
        self._cookie, self._max_age = session_cookie, max_age
        self._lifetime = DEFAULT_MAX_AGE if max_age is None else max_age
        flags = [f"path={path}", "httponly", f"samesite={same_site}"]
        flags += ["secure"] * https_only + [f"domain={domain}"] * (domain is not None) + ["partitioned"] * partitioned
        self._flags = "; ".join(flags)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handles a connection, as ASGI says."""
        if scope["type"] not in ("http", "websocket"):
            try:
                await self.app(scope, receive, send)
            finally:
                if scope["type"] == "lifespan":
                    await self._entries.close()
            return

        session = scope["session"] = await self._load(HTTPConnection(scope).cookies.get(self._cookie, ""))

        async def send_with_session(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie = await self._save(session)
                message.setdefault("headers", [])
                headers = MutableHeaders(scope=message)
                if session.accessed:
                    headers.add_vary_header("Cookie")
                if cookie is not None:
                    headers.append("Set-Cookie", f"{self._cookie}={cookie}; {self._flags}")
            await send(message)

        await self.app(scope, receive, send_with_session)

    async def _load(self, session_id: str) -> Session:
        found = await self._entries.get_with_ttl(session_id) if ID.fullmatch(session_id) else None
        if found is None or not isinstance(found[0], dict):
            return Session()
        return Session(found[0], session_id, found[1])

    async def _save(self, session: Session) -> Optional[str]:
        """Stores what has changed. Returns the cookie and its time; None if they stay the same."""
        old, entry, ttl = session.stored_id, dict(session), self._lifetime
        if not session.modified:
            return await self._renew(session)
        if old is not None and entry and not session.takes_new_id and ttl > 0:
            kept = await self._entries.perform(lambda table: table.replace(old, entry, ttl=ttl))
            return f"{old}{self._age()}" if kept else None
        new = secrets.token_urlsafe(32)
        if entry and ttl > 0:
            await self._entries.perform(lambda table: table.set(new, entry, ttl=ttl))
        if old is not None:
            await self._entries.delete(old)
        if entry:
            return f"{new}{self._age()}"
        return None if old is None else "null; expires=Thu, 01 Jan 1970 00:00:00 GMT"

    async def _renew(self, session: Session) -> Optional[str]:
        old, left, ttl = session.stored_id, session.seconds_left, self._lifetime
        if not session.accessed or old is None or left is None or left > ttl * (1 - RENEW_AFTER):
            return None
        try:
            await self._entries.perform(lambda table: table.expire(old, ttl))
        except KeyError:  # it has ended meanwhile
            return None
        return f"{old}{self._age()}"

    def _age(self) -> str:
        return "" if self._max_age is None else f"; Max-Age={self._max_age}"
