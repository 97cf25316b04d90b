"""connect(), proxies, tables by name, and Server: the API of CyberDB without its faults."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import (
    CyberDBError,
    DisconCyberDBError,
    EncryptionMismatch,
    NoSuchTable,
    Proxy,
    Server,
    ServerUnreachable,
    TableExists,
    TypeCyberDBError,
    WrongInputCyberDBError,
    WrongPasswordCyberDBError,
    WrongTableKind,
    WrongTableNameCyberDBError,
)

Start = Callable[..., Server]


def test_a_wrong_password_shows_at_once(server: Server) -> None:
    with pytest.raises(WrongPasswordCyberDBError, match="^incorrect password$"):
        cyberdb_fast.connect(server.url, password="wrong")
    for missing in ("", None):
        with pytest.raises(WrongPasswordCyberDBError, match="no password"):
            cyberdb_fast.connect(server.url, password=missing)


def test_encryption_must_agree(server: Server, start: Start) -> None:
    with pytest.raises(EncryptionMismatch, match="does not encrypt"):
        cyberdb_fast.connect(server.url, password=PASSWORD, encrypt=True)
    encrypted = start(encrypt=True)
    assert encrypted.url.startswith("cyberdbs://")
    with pytest.raises(EncryptionMismatch, match="encrypts"):
        cyberdb_fast.connect(encrypted.url.replace("cyberdbs", "cyberdb"), password=PASSWORD)
    with cyberdb_fast.connect(encrypted.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict("d", {i: bytes(1000) for i in range(300)})
        assert list(d.items()) == [(i, bytes(1000)) for i in range(300)]


def test_no_server_there() -> None:
    with pytest.raises(ConnectionRefusedError) as e:
        cyberdb_fast.connect(port=1, password="x")
    assert isinstance(e.value, (ServerUnreachable, DisconCyberDBError, CyberDBError))
    with cyberdb_fast.connect(port=1, password="x", check=False) as client, pytest.raises(ServerUnreachable):
        client.get_proxy().connect()


def test_something_else_there() -> None:
    with pytest.raises(WrongInputCyberDBError, match="http"):
        cyberdb_fast.connect("http://127.0.0.1", password="x")


def test_password_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CYBERDB_PASSWORD", PASSWORD)
    cyberdb_fast.connect(server.url).close()
    monkeypatch.delenv("CYBERDB_PASSWORD")
    (tmp_path / "password").write_text(PASSWORD + "\n")
    monkeypatch.setenv("CYBERDB_PASSWORD_FILE", str(tmp_path / "password"))
    cyberdb_fast.connect(server.url).close()


def test_tables(proxy: Proxy, new_name: Callable[[], str], capsys: pytest.CaptureFixture[str]) -> None:
    one, two = new_name(), new_name()
    proxy.create_cyberdict(one, {"a": 1})
    proxy.create_cyberlist(two, [1])
    for create in (proxy.create_cyberdict, proxy.create_cyberlist):
        with pytest.raises(TableExists, match=one):
            create(one)
    assert proxy.create_cyberdict(one, {"b": 2}, exist_ok=True) == {"a": 1}
    with pytest.raises(WrongTableKind):
        proxy.get_cyberlist(one)
    with pytest.raises(WrongTableNameCyberDBError, match="nothing table does not exist."):
        proxy.get_cyberdict("nothing")
    assert [table[1:] for table in proxy.tables() if table.name in (one, two)] == [("dict", 1), ("list", 1)]
    proxy.print_tables()
    assert f"table name: {two}  type name: CyberList\n" in capsys.readouterr().out
    proxy.delete_table(one)
    with pytest.raises(NoSuchTable):
        proxy.delete_table(one)
    proxy.rename_table(two, one)
    assert proxy.get_cyberlist(one) == [1]


@pytest.mark.parametrize("name", [5, None, b"x"])
def test_names_are_texts(proxy: Proxy, name: Any) -> None:
    for method in (proxy.create_cyberdict, proxy.get_cyberlist, proxy.delete_table):
        with pytest.raises(WrongInputCyberDBError, match="str"):
            method(name)


def test_contents_fit(proxy: Proxy) -> None:
    for content in ([1], "ab", 5):
        with pytest.raises(WrongInputCyberDBError):
            proxy.create_cyberdict("no", content)  # type: ignore[arg-type]
    for content in ({1: 2}, "ab", 5):
        with pytest.raises(WrongInputCyberDBError):
            proxy.create_cyberlist("no", content)  # type: ignore[arg-type]
    assert not proxy.exists("no")


def test_with_lets_exceptions_through(server: Server) -> None:
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client:
        with pytest.raises(ZeroDivisionError), client.get_proxy() as proxy:
            raise ZeroDivisionError
        with pytest.raises(DisconCyberDBError, match="There is no connection"):
            proxy.tables()
        proxy.connect()
        proxy.tables()


def test_a_closed_client(server: Server) -> None:
    client = cyberdb_fast.connect(server.url, password=PASSWORD)
    proxy = client.get_proxy()
    proxy.connect()
    client.close()
    with pytest.raises(DisconCyberDBError, match="closed"):
        proxy.ping()


def test_pipeline(proxy: Proxy, new_name: Callable[[], str]) -> None:
    d, names = proxy.create_cyberdict(new_name()), proxy.create_cyberlist(new_name())
    with proxy.pipeline() as pipe:
        on_d, on_names = pipe.on(d), pipe.on(names)
        counts = [on_d.increment("n") for _ in range(3)]
        missing = on_d.getitem("x")
        default = on_d.get("x", 5)
        on_names.extend(["b", "a"])
        on_names.sort()
        content = on_names.copy()
        with pytest.raises(RuntimeError, match="not been executed"):
            content.value
    assert [count.value for count in counts] == [1, 2, 3]
    assert (default.value, content.value) == (5, ["a", "b"])
    assert isinstance(missing.error, KeyError)
    pipe = proxy.pipeline()
    pipe.on(d).set("k", 1)
    pipe.on(d).getitem("x")
    done, failed = pipe.execute()
    assert done is None
    assert isinstance(failed, KeyError)
    assert pipe.execute() == []
    with pytest.raises(ZeroDivisionError), proxy.pipeline() as pipe:
        pipe.on(d).set("k", 2)
        raise ZeroDivisionError
    assert d["k"] == 1
    with pytest.raises(TypeError, match="CyberDict or a CyberList"):
        pipe.on({})  # type: ignore[call-overload]


def test_pipelines_larger_than_all_buffers(proxy: Proxy, new_name: Callable[[], str]) -> None:
    d = proxy.create_cyberdict(new_name())
    with proxy.pipeline() as pipe:
        for i in range(200):
            pipe.on(d).set(i, bytes(300_000))
        got = [pipe.on(d).get(i) for i in range(200)]
    assert all(len(result.value) == 300_000 for result in got)
    with proxy.pipeline() as pipe:
        counts = [pipe.on(d).increment("n") for _ in range(50_000)]
    assert counts[-1].value == 50_000


# ---- Server


def test_a_server_that_cannot_start(start: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    server = start()
    other = Server(str(tmp_path / "other"))
    with pytest.raises(CyberDBError, match="did not start"):
        other.start(port=int(server.url.rpartition(":")[2]), password="x")
    assert "another program uses this port" in capfd.readouterr().err
    with pytest.raises(CyberDBError, match="runs already"):
        server.start(port=0, password=PASSWORD)
    with pytest.raises(WrongPasswordCyberDBError):
        other.start(port=0)
    with pytest.raises(TypeCyberDBError, match="port"):
        other.start(port="9980", password="x")  # type: ignore[arg-type]
    with pytest.raises(CyberDBError, match="whitelist"):
        other.set_ip_whitelist(["no address"])


def test_settings_reach_the_server(start: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    server = start(max_con=1, print_log=True)
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        with pytest.raises(CyberDBError, match="connections"):
            cyberdb_fast.connect(server.url, password=PASSWORD)
        proxy.create_cyberdict("logged")
    server.stop()
    assert "CREATE DICT" in capfd.readouterr().err
    limited = Server(str(tmp_path / "limited"))
    limited.set_ip_whitelist(["10.1.2.3", "10.2.0.0/16"])
    with limited:
        limited.start(port=0, password=PASSWORD)
        cyberdb_fast.connect(limited.url, password=PASSWORD).close()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_its_parent(tmp_path: Path, end: signal.Signals) -> None:
    code = f"""
import os, sys
from cyberdb_fast import Server
server = Server({str(tmp_path)!r})
server.start(port=0, password="x")
if os.fork() == 0:  # a worker that outlives its parent must not keep the server running
    sys.stdin.read()
    os._exit(0)
print(server._process.pid, flush=True)
sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.send_signal(end)
        # The server inherits its parent's stderr, which is at its end when the server has stopped.
        assert parent.stdin is not None
        parent.stdin.close()
        assert parent.stderr is not None
        assert b"standard input ended" in parent.stderr.read()


def test_run_ends_with_stop(tmp_path: Path) -> None:
    code = f"""
import threading
from cyberdb_fast import Server, connect
server = Server({str(tmp_path)!r})
def stop():
    while not server.url:
        threading.Event().wait(0.01)
    connect(server.url, password="x").close()
    server.stop()
threading.Thread(target=stop).start()
server.run(port=0, password="x")
print("ended")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert "listening" in result.stdout
    assert result.stdout.endswith("ended\n")
