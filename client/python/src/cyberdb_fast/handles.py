"""Clients, and what is made from them, in pickles: without the password and without connections.

A pickle has the settings of the client. Where it is read, it becomes a handle of the one client of
that process with these settings. If there is none yet, one is made, which takes the password from
the environment when it opens its first connection.
"""

from __future__ import annotations

import os
import weakref
from dataclasses import replace
from typing import Callable, Dict, Generic, TypeVar

from .errors import WrongPasswordCyberDBError
from .settings import Settings, find_password

C = TypeVar("C")


def without_password(settings: Settings) -> Settings:
    """The settings as a pickle has them."""
    return replace(settings, password="")


def with_password(settings: Settings) -> Settings:
    """The settings, with the password of the environment if they have none.

    Errors: WrongPasswordCyberDBError if the environment has none.
    """
    if settings.password:
        return settings
    if not any(os.environ.get(name) for name in ("CYBERDB_PASSWORD", "CYBERDB_PASSWORD_FILE")):
        raise WrongPasswordCyberDBError(
            f"{settings.address}: a client that comes from a pickle has no password: set CYBERDB_PASSWORD or "
            "CYBERDB_PASSWORD_FILE in the process that reads it"
        )
    return replace(settings, password=find_password(None))


class Registry(Generic[C]):
    """The open clients of this process, by their settings without the password."""

    def __init__(self, make: Callable[[Settings], C]) -> None:
        self._make = make
        self._open: weakref.WeakValueDictionary[Settings, C] = weakref.WeakValueDictionary()
        self._made: Dict[Settings, C] = {}  # those that only handles from pickles use

    def add(self, settings: Settings, client: C) -> None:
        """Adds a client, which the next pickle with these settings gets."""
        self._open[without_password(settings)] = client

    def remove(self, settings: Settings, client: C) -> None:
        """Removes a client that is closed."""
        key = without_password(settings)
        for clients in (self._open, self._made):
            if clients.get(key) is client:
                del clients[key]

    def find(self, settings: Settings) -> C:
        """The client with these settings, which have no password."""
        client = self._open.get(settings)
        return self._made.setdefault(settings, self._make(settings)) if client is None else client
