"""Spool buffers the parts of one reply until they are read: in memory, then in a temporary file."""

from __future__ import annotations

import os
import tempfile
from io import BytesIO
from typing import Any

from .errors import ReplyTooLarge


def too_large(max_bytes: int) -> ReplyTooLarge:
    """The error for a reply of more than max_bytes."""
    return ReplyTooLarge(
        f"the reply has more than {max_bytes} bytes: read the table in parts, or iterate over it, "
        "or raise max_reply_bytes of connect()"
    )


def no_room() -> ReplyTooLarge:
    """The error for a reply that does not fit into memory."""
    return ReplyTooLarge("the reply does not fit into memory")


class Spool:
    """Up to memory_bytes in memory, more in a temporary file.

    Its methods are those of a binary file.

    It has its own read position, not the file's, which parent and child would share after a fork.
    So both can read all of it.
    """

    def __init__(self, memory_bytes: int, max_bytes: int) -> None:
        self._memory_bytes, self._max_bytes = memory_bytes, max_bytes
        self._file: Any = BytesIO()
        self._in_memory = True
        self._at = 0

    def write(self, piece: bytes) -> int:
        """Appends a piece. Errors: ReplyTooLarge beyond max_bytes, or if memory or disk is full."""
        if self._at + len(piece) > self._max_bytes:
            raise too_large(self._max_bytes)
        try:
            if self._in_memory and self._at + len(piece) > self._memory_bytes:
                self._move()
            left = memoryview(piece)
            while left:
                left = left[self._file.write(left) :]
        except OSError as e:
            raise ReplyTooLarge(f"the reply cannot be written to a temporary file: {e}") from e
        except MemoryError:
            raise no_room() from None
        self._at += len(piece)
        return len(piece)

    def _move(self) -> None:
        """Moves the content into a temporary file."""
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
        """Returns the next bytes: all of them, or at most size."""
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
        """Sets the read position."""
        self._at = at

    def truncate(self) -> None:
        """Drops the bytes after the position."""
        self._file.seek(self._at)
        self._file.truncate()

    def close(self) -> None:
        """Drops the content, and the temporary file if there is one."""
        self._file.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
