"""Where the pieces of one reply are kept until they are read."""

from __future__ import annotations

import os
import tempfile
from io import BytesIO
from typing import Any

from .errors import ReplyTooLarge


def too_large(max_bytes: int) -> ReplyTooLarge:
    """The error for a reply of more bytes than the client takes."""
    return ReplyTooLarge(
        f"a reply of more than {max_bytes} bytes: read the table in parts, or iterate over it, or raise max_reply_bytes of connect()"
    )


def no_room() -> ReplyTooLarge:
    """The error for a reply that has no room in memory."""
    return ReplyTooLarge("a reply that does not fit into memory")


class Spool:
    """In memory at first, in a temporary file if there is much. What is used of a binary file is the same here.

    It reads from a position of its own, which a forked child has too: parent and child, who share the file's, both read all of it.
    """

    def __init__(self, memory_bytes: int, max_bytes: int) -> None:
        self._memory_bytes, self._max_bytes = memory_bytes, max_bytes
        self._file: Any = BytesIO()
        self._in_memory = True
        self._at = 0

    def write(self, piece: bytes) -> int:
        """Adds a piece. Errors: ReplyTooLarge beyond max_bytes, or if there is no room for it."""
        if self._at + len(piece) > self._max_bytes:
            raise too_large(self._max_bytes)
        try:
            if self._in_memory and self._at + len(piece) > self._memory_bytes:
                self._move()
            left = memoryview(piece)
            while left:
                left = left[self._file.write(left) :]
        except OSError as e:
            raise ReplyTooLarge(f"the reply does not go into a temporary file: {e}") from e
        except MemoryError:
            raise no_room() from None
        self._at += len(piece)
        return len(piece)

    def _move(self) -> None:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        try:
            left = memoryview(self._file.getvalue())
            while left:
                left = left[file.write(left) :]
        except BaseException:
            file.close()
            raise
        self._file, self._in_memory = file, False

    def read(self, size: int = -1) -> bytes:
        """The next bytes: all, or at most size."""
        if size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        if not self._in_memory and hasattr(os, "pread"):
            data: bytes = os.pread(self._file.fileno(), size, self._at)
        else:
            self._file.seek(self._at)
            data = self._file.read(size)
        self._at += len(data)
        return data

    def seek(self, at: int) -> None:
        """Lets read begin there."""
        self._at = at

    def truncate(self) -> None:
        """Drops what is behind the position."""
        self._file.seek(self._at)
        self._file.truncate()

    def close(self) -> None:
        """Drops the content, and the file if there is one."""
        self._file.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
