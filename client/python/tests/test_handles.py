"""Clients, tables and locks in pickles: other processes use them, and no password is in them."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Callable, List, Tuple

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import Client, CyberDict, Lock, Proxy, Server, WrongPasswordCyberDBError, aio

Table = CyberDict[Any, Any]


def work(table: Table, client: Client, lock: Lock, n: int) -> Tuple[int, int, int]:
    """What a worker does; returns its process, its clients and its connections."""
    with lock:
        table["log"] = [*table["log"], n]
    with client.get_proxy() as proxy:
        proxy.get_cyberdict(table.table_name).durable.increment("n")
    clients = {id(one) for one in (client, table._sender._client, lock._proxy._client)}
    return os.getpid(), len(clients), client.stats()["open"]


def test_workers_of_a_spawn_pool(client: Client, proxy: Proxy, d: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYBERDB_PASSWORD", PASSWORD)
    d.update(log=[], n=0)
    arguments = d, client, proxy.lock(d.table_name)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        done = [future.result(60) for future in [pool.submit(work, *arguments, n) for n in range(4)]]
        nothing = pool.submit(pickle.dumps, [d, client]).result(60)
    assert sorted(d["log"]) == [*range(4)]
    assert d["n"] == 4
    assert all(process != os.getpid() and clients == 1 and connections <= 2 for process, clients, connections in done)
    assert PASSWORD.encode() not in nothing


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_workers_of_a_fork_pool_need_no_variable(
    client: Client, proxy: Proxy, d: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have the client of their parent."""
    monkeypatch.delenv("CYBERDB_PASSWORD", raising=False)
    d.update(log=[], n=0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.starmap(work, [(d, client, proxy.lock(d.table_name), n) for n in range(4)])
    assert sorted(d["log"]) == [0, 1, 2, 3]


def copies(*handles: Any) -> List[Any]:
    data = pickle.dumps(handles)
    assert PASSWORD.encode() not in data
    return [pickle.loads(data), copy.deepcopy(handles)]


def test_in_one_process_they_share_the_client(
    client: Client, proxy: Proxy, d: Table, new_list: Callable[..., Any]
) -> None:
    items = new_list([1])
    for one, other, table, durable, elements in copies(client, proxy, d, d.durable, items):
        assert one is other._client is table._sender._client is durable._sender._sender._client is client
        table["k"] = 1
        durable["l"] = 2
        elements.append(3)
        assert other.get_cyberdict(d.table_name) == {"k": 1, "l": 2}
    assert items == [1, 3, 3]
    assert copy.copy(d) == {"k": 1, "l": 2}  # as of a dict: the content
    assert copy.copy(client) is client
    proxy.close()
    (closed,), _ = copies(d)
    with pytest.raises(cyberdb_fast.DisconCyberDBError):
        closed.copy()


def test_clients_differ_by_address_and_settings(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYBERDB_PASSWORD", PASSWORD)
    with cyberdb_fast.connect(server.url, password=PASSWORD, request_timeout=7) as one:
        with cyberdb_fast.connect(server.url, password=PASSWORD, request_timeout=8) as other:
            data = pickle.dumps([one, other])
            assert pickle.loads(data) == [one, other]
    first, second = pickle.loads(data)  # those above are closed
    assert [first, second] == pickle.loads(data)
    assert len({id(client) for client in (one, other, first, second)}) == 4
    for client in (first, second):
        client.check()
        client.close()


def test_without_a_password(server: Server, d: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error of the first request, not of reading the pickle, which would end a worker."""
    for name in ("CYBERDB_PASSWORD", "CYBERDB_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    client = cyberdb_fast.connect(server.url, password=PASSWORD, max_reply_bytes=1 << 20)
    with client, client.get_proxy() as proxy:
        data = pickle.dumps([proxy.get_cyberdict(d.table_name), client])
    table, client = pickle.loads(data)
    with client:
        for _ in range(2):
            with pytest.raises(
                WrongPasswordCyberDBError, match="from a pickle has no password: set CYBERDB_PASSWORD or"
            ):
                table["k"]
        monkeypatch.setenv("CYBERDB_PASSWORD_FILE", str(tmp_path / "password"))
        with pytest.raises(WrongPasswordCyberDBError, match="CYBERDB_PASSWORD_FILE: .*password cannot be read"):
            table["k"]
        (tmp_path / "password").write_text(PASSWORD + "\n")
        table["k"] = 1
    assert d["k"] == 1


def test_a_copy_of_a_lock_holds_nothing(proxy: Proxy, d: Table) -> None:
    lock = proxy.lock(d.table_name, ttl=1.001, wait=0, max_hold=5, reentrant=True)
    with lock:
        for (other,) in copies(lock):
            assert (other.name, other.fence, other.locked()) == (lock.name, None, True)
            assert not other.acquire(blocking=False)
            names = ("_ttl", "_wait", "_max_hold", "_renew", "_reentrant", "_n")
            assert [getattr(other, name) for name in names] == [getattr(lock, name) for name in names]
        for duplicate in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match="a fenced table cannot be pickled or copied"):
                duplicate(d.fenced(lock))
    assert copy.deepcopy(proxy.semaphore("s", 3))._n == 3


def test_with_asyncio(server: Server, d: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CYBERDB_PASSWORD", raising=False)

    async def main() -> bytes:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            table = await proxy.get_cyberdict(d.table_name)
            for one, other, durable, lock in copies(client, table, table.durable, proxy.lock("l")):
                assert one is other._sender._client is client
                await durable.increment("n")
                async with lock:
                    pass
            assert await table["n"] == 2
            return pickle.dumps(table)

    async def later(data: bytes) -> None:
        table = pickle.loads(data)
        async with table._sender._client:
            with pytest.raises(WrongPasswordCyberDBError, match="from a pickle has no password"):
                await table["n"]
            monkeypatch.setenv("CYBERDB_PASSWORD", PASSWORD)
            assert await table["n"] == 2

    asyncio.run(later(asyncio.run(main())))


def test_threads_that_read_one_pickle(server: Server, d: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYBERDB_PASSWORD", PASSWORD)
    with cyberdb_fast.connect(server.url, password=PASSWORD, pool_timeout=29) as client, client.get_proxy() as proxy:
        data = pickle.dumps(proxy.get_cyberdict(d.table_name))
    threads = [threading.Thread(target=lambda: pickle.loads(data).increment("n")) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert d["n"] == 16
    pickle.loads(data)._sender._client.close()
