"""A man in the middle of a plain connection.

He forwards the handshake and then answers requests himself.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager, suppress
from typing import Callable, Iterable, Iterator, List, Optional

from cyberdb_fast import Server
from cyberdb_fast.handshake import MAGIC

HEADER = struct.Struct("<IIBB")
MORE = 1
Answer = Callable[[int], Iterable[bytes]]  # maps the id of a request to the bytes to send


def frame(request_id: int, body: bytes, status: int = 0, flags: int = 0) -> bytes:
    """One reply frame."""
    return HEADER.pack(HEADER.size - 4 + len(body), request_id, status, flags) + body


def always(body: bytes, status: int = 0) -> Answer:
    """Sends the same answer to each request."""
    return lambda request_id: [frame(request_id, body, status)]


def without_end(body: bytes) -> Answer:
    """Answers a request with parts of a reply, and never sends the last one."""

    def parts(request_id: int) -> Iterator[bytes]:
        while True:
            yield frame(request_id, body, flags=MORE)

    return parts


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionError("the other side is gone")
        data += piece
    return data


def _pass_on(source: socket.socket, sink: socket.socket, prefix: int = 0) -> None:
    """One handshake message."""
    head = _exactly(source, prefix + 3)
    sink.sendall(head + _exactly(source, int.from_bytes(head[-2:], "little")))


def _stand_between(client: socket.socket, port: int, answer: Answer, seen: Optional[List[bytes]]) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as server, suppress(OSError):
        _pass_on(client, server, len(MAGIC))
        _pass_on(server, client)
        for _ in range(2):
            _pass_on(client, server)
            _pass_on(server, client)
        while True:
            head = _exactly(client, HEADER.size)
            length, request_id, _, _ = HEADER.unpack(head)
            rest = _exactly(client, length - HEADER.size + 4)
            if seen is not None:
                seen.append(head + rest)
            for data in answer(request_id):
                client.sendall(data)


@contextmanager
def man_in_the_middle(server: Server, answer: Answer, seen: Optional[List[bytes]] = None) -> Iterator[str]:
    """The URL of the man in the middle. seen gets the request frames."""
    port = int(server.url.rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=_stand_between, args=(client, port, answer, seen), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"cyberdb://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(30)
