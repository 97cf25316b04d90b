"""What repr() and notebooks show of a table: its first items and its length, in one write.

The two requests are not one moment: another client may write between them.
"""

from __future__ import annotations

from html import escape
from typing import Any, Iterable, List, NamedTuple, Tuple

from . import dict_requests, list_requests
from .computing import unprepared
from .requests import Request
from .table import Handle, preparation

FIRST = 50  # items
MAX_TEXT = 1000  # characters of a key or value


class Glimpse(NamedTuple):
    """The first items of a table, and the number of all; items of a dict are pairs."""

    first: List[Any]
    length: int

    @property
    def rest(self) -> str:
        """What follows the first items: empty if there are no more."""
        return ", ..." if self.length > len(self.first) else ""

    @property
    def size(self) -> str:
        """The length as text, with its unit."""
        return f"{self.length:,} item{'' if self.length == 1 else 's'}"


def of_dict(table: Handle) -> Glimpse:
    """Errors: those of any request."""
    (following, items), length = _perform(
        table, dict_requests.dict_scan(table._t, FIRST), dict_requests.dict_len(table._t)
    )
    return Glimpse(items, max(length, len(items) + 1) if following else len(items))


def of_list(table: Handle) -> Glimpse:
    """Errors: those of any request."""
    items, length = _perform(table, list_requests.list_get(table._t, slice(FIRST)), list_requests.list_len(table._t))
    return Glimpse(items, length if len(items) == FIRST else len(items))


def _perform(table: Handle, *batch: Request[Any]) -> List[Any]:
    prepare = preparation(table._sender)
    if prepare is not None:
        batch = tuple(map(prepare, batch))
    replies = unprepared(table._sender)._perform_all([*batch])
    return [request.result(reply) for request, reply in zip(batch, replies)]


def text(glimpse: Glimpse, opening: str, items: Iterable[str], closing: str) -> str:
    """The items between brackets, as repr() shows them; with the length if there are more."""
    shown = f"{opening}{', '.join(items)}{glimpse.rest}{closing}"
    return f"{shown} ({glimpse.size})" if glimpse.rest else shown


def pairs(glimpse: Glimpse) -> Iterable[str]:
    """The items of a dict, as in its repr()."""
    return (f"{short(key)}: {short(value)}" for key, value in glimpse.first)


def short(value: Any) -> str:
    """The repr of a value, cut to MAX_TEXT."""
    whole = repr(value)
    return whole if len(whole) <= MAX_TEXT else whole[:MAX_TEXT] + "..."


def html(title: str, glimpse: Glimpse, rows: Iterable[Tuple[Any, Any]]) -> str:
    """A table of HTML, with one row for each item."""
    return "".join(
        (
            f"<table><caption>{escape(title)}: {glimpse.size}</caption>",
            *(_row(map(short, row)) for row in rows),
            _row(("...", "...")) if glimpse.rest else "",
            "</table>",
        )
    )


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
