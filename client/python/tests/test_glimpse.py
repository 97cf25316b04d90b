"""What repr() and notebooks show of a table."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Callable

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import CyberDict, Proxy, ReplyTooLarge, Server, aio


def test_small_tables_look_like_dicts_and_lists(d: CyberDict[Any, Any], new_list: Callable[..., Any]) -> None:
    assert (repr(d), repr(new_list())) == ("{}", "[]")
    content = {i: "x" * (i % 1000) for i in range(50)}
    d.update(content)
    assert repr(d) == repr(d.durable) == repr(content)
    assert repr(d.keys()) == repr({**content}.keys())
    assert repr(d.values()) == repr({**content}.values())
    assert repr(d.items()) == repr({**content}.items())
    assert repr(new_list(content.values())) == repr([*content.values()])


def test_of_large_tables_the_first_items_are_shown(d: CyberDict[Any, Any], new_list: Callable[..., Any]) -> None:
    d.update(enumerate("x" * 12345))
    first = ", ".join(f"{i}: 'x'" for i in range(50))
    assert repr(d) == f"{{{first}, ...}} (12,345 items)"
    assert repr(d.keys()) == f"dict_keys([{', '.join(map(str, range(50)))}, ...]) (12,345 items)"
    assert repr(new_list([1] * 51)) == f"[{', '.join(['1'] * 50)}, ...] (51 items)"
    assert repr(new_list(["x" * 5000])) == f"['{'x' * 999}...]"
    assert d._ipython_key_completions_() == [*range(50)]


def test_little_is_transferred(server: Server, d: CyberDict[Any, Any], new_list: Callable[..., Any]) -> None:
    d.update((i, "x" * 1000) for i in range(5000))
    items = new_list(d.values())
    with cyberdb_fast.connect(server.url, password=PASSWORD, max_reply_bytes=100_000) as client:
        with client.get_proxy() as proxy:
            table, elements = proxy.get_cyberdict(d.table_name), proxy.get_cyberlist(items.table_name)
            for show in (repr, CyberDict._repr_html_, CyberDict._ipython_key_completions_):
                show(table)
            repr(elements), elements._repr_html_(), repr(table.keys())
            with pytest.raises(ReplyTooLarge):
                table.copy()


def test_html_is_escaped(proxy: Proxy, d: CyberDict[Any, Any], new_list: Callable[..., Any]) -> None:
    d["<b>"] = "&<script>"
    html = d._repr_html_()
    assert f"<caption>dict {d.table_name}: 1 item</caption>" in html
    assert "<tr><td>&#x27;&lt;b&gt;&#x27;</td><td>&#x27;&amp;&lt;script&gt;&#x27;</td></tr>" in html
    html = proxy.create_cyberdict("<i>")._repr_html_()
    assert html == "<table><caption>dict &lt;i&gt;: 0 items</caption></table>"
    html = new_list(range(60))._repr_html_()
    assert html.count("<tr>") == 51
    assert "60 items" in html
    assert html.endswith("<tr><td>49</td><td>49</td></tr><tr><td>...</td><td>...</td></tr></table>")


def test_a_table_of_asyncio_shows_its_name(server: Server, d: CyberDict[Any, Any]) -> None:
    async def main() -> str:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            return repr(await proxy.get_cyberdict(d.table_name))

    assert asyncio.run(main()) == f"<cyberdb_fast.aio.CyberDict {d.table_name!r}>"


def test_json(d: CyberDict[Any, Any], new_list: Callable[..., Any]) -> None:
    d["a"] = [1, (2,)]
    assert (
        json.dumps({"d": d, "l": new_list([1])}, default=lambda table: table.copy())
        == '{"d": {"a": [1, [2]]}, "l": [1]}'
    )
