"""Server: what it saves and what it does not, and durable changes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import pytest

import cyberdb_fast
from conftest import PASSWORD, ROOT
from cyberdb_fast import (
    BackupCyberDBError,
    BadRequest,
    CyberDBError,
    NotDurable,
    ReadOnly,
    Server,
    TypeCyberDBError,
    WrongFilenameCyberDBError,
    aio,
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new working directory, where servers save by default."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(server: Server) -> Dict[str, Any]:
    """The content of all tables of a server."""
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        return {table.name: proxy.get_cyberdict(table.name).copy() for table in proxy.tables()}


def create(server: Server, name: str, **items: Any) -> None:
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        proxy.create_cyberdict(name, items)


def kill(server: Server) -> None:
    process = server._process
    assert process is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    server.stop()


def test_nothing_is_kept_by_default(here: Path) -> None:
    for _ in range(2):
        with Server() as server:
            server.start(port=0, password=PASSWORD)
            assert content(server) == {}
            create(server, "d", a=1)
    assert list(here.iterdir()) == []


def test_a_failed_start_says_why(here: Path) -> None:
    with Server("there") as first:
        first.start(port=0, password=PASSWORD)
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(
            CyberDBError, match="the server did not start: the data directory .*there is in use by process"
        ):
            Server("there").start(port=0, password=PASSWORD)
        with pytest.raises(CyberDBError, match=f"the server did not start: cannot listen on 127.0.0.1:{port}"):
            Server("elsewhere").start(port=port, password=PASSWORD)
        with pytest.raises(CyberDBError, match="the server did not start: .*max-con"):
            Server("elsewhere").start(port=0, password=PASSWORD, max_con=0)


def test_several_servers_in_one_directory(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers without files, or with different files, do not conflict in one working directory."""
    temporary = here / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    servers = [Server() for _ in range(4)]
    servers[2].set_backup("one.cdb")
    servers[3].set_backup("two.cdb")
    for n, server in enumerate(servers):
        server.start(port=0, password=PASSWORD)
        create(server, str(n))
    assert [list(content(server)) for server in servers] == [["0"], ["1"], ["2"], ["3"]]
    for server in servers:
        server.stop()
    assert list(temporary.iterdir()) == []


def test_a_child_process_leaves_the_directory_alone(here: Path) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    with Server() as server:
        server.start(port=0, password=PASSWORD)
        child = os.fork()
        if child == 0:
            server.stop()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        create(server, "d")
        server.save_db("copy.cdb")


def test_set_backup_keeps_every_change(here: Path) -> None:
    for n in range(3):
        server = Server()
        server.set_backup("data.cdb", cycle=300)
        server.start(port=0, password=PASSWORD)
        assert content(server) == {str(i): {"a": i} for i in range(n)}
        create(server, str(n), a=n)
        with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            proxy.get_cyberdict(str(n)).durable["a"] = n
        if n == 1:
            kill(server)
        server.stop()
    assert (here / "data.cdb").stat().st_mode & 0o777 == 0o600


def test_a_data_directory_keeps_them_too(here: Path) -> None:
    for n in range(2):
        with Server("there") as server:
            server.start(port=0, password=PASSWORD)
            assert content(server) == {str(i): {} for i in range(n)}
            create(server, str(n))
    assert (here / "there/data.cdb").exists()


def test_save_and_load(here: Path) -> None:
    """As in the tutorial: save_db, load_db before the next start, load_db of a running server."""
    with Server() as server:
        server.start(port=0, password=PASSWORD)
        create(server, "centre", content="Hello CyberDB!")
        saved = content(server)
        server.save_db("data.cdb")
        with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            centre = proxy.get_cyberdict("centre")
            centre["content"] = "changed"
            proxy.create_cyberlist("other")
            server.load_db("data.cdb")
            assert centre == {"content": "Hello CyberDB!"}
            assert content(server) == saved
            proxy.delete_table("centre")
            server.load_db("data.cdb")
            assert content(server) == saved
    for _ in range(2):
        with Server() as server:
            server.load_db("data.cdb")
            server.start(port=0, password=PASSWORD)
            assert content(server) == saved
            create(server, "more")


def test_a_file_that_is_kept_can_be_written_anew(here: Path) -> None:
    """As in the tutorial: a second cyberdb_init.py replaces the tables."""
    for text in ("first", "second", "third"):
        with Server() as init:
            init.start(port=0, password="123456")
            with cyberdb_fast.connect(init.url, password="123456") as client, client.get_proxy() as proxy:
                proxy.create_cyberdict("centre", {"content": text})
            init.save_db("data.cdb")
        for n in range(2):
            with Server() as serve:
                serve.load_db("data.cdb")
                serve.set_backup("data.cdb", cycle=300)
                serve.start(port=0, password=PASSWORD)
                assert content(serve) == {"centre": {"content": text}, **{str(i): {} for i in range(n)}}
                create(serve, str(n))


@pytest.mark.parametrize("backup", [None, "data.cdb", "old.cdb"])
def test_a_cyberdb_file_is_imported_at_start(here: Path, backup: Optional[str]) -> None:
    """A program that changes its import line finds the tables that CyberDB has written."""
    old = (ROOT / "codec/legacy/testdata/cdb/tutorial.cdb").read_bytes()
    (here / "old.cdb").write_bytes(old)
    for _ in range(2):
        with Server() as server:
            if backup:
                server.set_backup(backup)
            if not (backup and (here / backup).exists()) or backup == "old.cdb":
                server.load_db("old.cdb")
            server.start(port=0, password=PASSWORD)
            assert content(server) == {"centre": {"content": "Hello CyberDB!"}}
    assert (here / ("old.cdb.cyberdb" if backup == "old.cdb" else "old.cdb")).read_bytes() == old


def test_load_replaces_nothing(here: Path) -> None:
    with Server() as server:
        server.start(port=0, password=PASSWORD)
        create(server, "seed", a=1)
        server.save_db("seed.cdb")
    with Server() as server:
        server.load_db("seed.cdb")
        server.set_backup("data.cdb")
        server.start(port=0, password=PASSWORD)
        create(server, "mine")
    again = Server()
    again.load_db("seed.cdb")
    again.set_backup("data.cdb")
    with pytest.raises(BackupCyberDBError, match=r"would replace the tables in .*data\.cdb"):
        again.start(port=0, password=PASSWORD)
    with Server() as server:
        server.set_backup("data.cdb")
        server.start(port=0, password=PASSWORD)
        assert content(server) == {"seed": {"a": 1}, "mine": {}}


@pytest.mark.parametrize("backup", [False, True])
def test_a_running_server_takes_a_file_of_cyberdb(here: Path, backup: bool) -> None:
    old = (ROOT / "codec/legacy/testdata/cdb/tutorial.cdb").read_bytes()
    (here / "old.cdb").write_bytes(old)
    for _ in range(2):
        with Server() as server:
            if backup:
                server.set_backup("data.cdb")
            server.start(port=0, password=PASSWORD)
            create(server, "mine", a=1)
            server.load_db("old.cdb")
            assert content(server) == {"centre": {"content": "Hello CyberDB!"}}
    assert (here / "old.cdb").read_bytes() == old


def test_a_damaged_cyberdb_file_is_refused(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "bad.cdb").write_bytes(b"no database" * 100)
    for backup in (False, True):
        server = Server()
        server.load_db("bad.cdb")
        if backup:
            server.set_backup("data.cdb")
        with pytest.raises(CyberDBError, match="did not start"):
            server.start(port=0, password=PASSWORD)
        assert ".cdb" in capfd.readouterr().err
    assert [file.name for file in here.glob("*.cdb*") if file.suffix not in (".lock", ".server")] == ["bad.cdb"]
    running = Server()
    with running:
        running.start(port=0, password=PASSWORD)
        create(running, "mine", a=1)
        with pytest.raises(BackupCyberDBError, match="bad.cdb"):
            running.load_db("bad.cdb")
        assert content(running) == {"mine": {"a": 1}}


def test_the_file_of_a_running_server_stays(here: Path) -> None:
    """save_db overwrites neither the file of a running server nor another document."""
    with Server("kept") as kept, Server("other") as other:
        kept.start(port=0, password=PASSWORD)
        other.start(port=0, password=PASSWORD)
        create(kept, "mine", a=1)
        create(other, "other")
        with pytest.raises(BackupCyberDBError, match="is the data file of a running server"):
            other.save_db("kept/data.cdb")
        kept.save_db("kept/data.cdb")
        os.link("kept/data.cdb", "hard.cdb")
        (here / "link.cdb").symlink_to(here / "kept/data.cdb")
        (here / "letter.cdb").write_text("Dear Ada")
        os.mkfifo("pipe.cdb")
        before = (here / "kept/data.cdb").read_bytes()
        for name in ("kept/data.cdb", "hard.cdb", "link.cdb", "letter.cdb", "pipe.cdb"):
            with pytest.raises(BackupCyberDBError, match=r"\.cdb"):
                other.save_db(name)
        with pytest.raises(BackupCyberDBError, match="pipe.cdb is not a regular file"):
            other.load_db("pipe.cdb")
        assert (here / "kept/data.cdb").read_bytes() == before
        assert (here / "letter.cdb").read_text() == "Dear Ada"
    with Server("kept") as kept:
        kept.start(port=0, password=PASSWORD)
        assert content(kept) == {"mine": {"a": 1}}


def test_what_cannot_be_kept_says_so(here: Path) -> None:
    server = Server()
    for method in (server.set_backup, server.save_db, server.load_db):
        with pytest.raises(WrongFilenameCyberDBError, match=r"must end in \.cdb"):
            method("data.db")
    with pytest.raises(TypeCyberDBError, match="cycle"):
        server.set_backup("data.cdb", cycle=1.5)  # type: ignore[arg-type]
    with pytest.raises(BackupCyberDBError, match="cycle"):
        server.set_backup("data.cdb", cycle=-1)
    with pytest.raises(TypeCyberDBError, match="list of addresses"):
        server.set_ip_whitelist("10.1.2.3")
    with pytest.raises(FileNotFoundError):
        server.load_db("nothing.cdb")
    with pytest.raises(BackupCyberDBError, match="does not run"):
        server.save_db()
    server.set_backup("kept.cdb")
    with server:
        server.start(port=0, password=PASSWORD)
        assert (here / "kept.cdb.server/control.sock").stat().st_mode & 0o777 == 0o600
        with pytest.raises(BackupCyberDBError, match="before start"):
            server.set_backup()
        with pytest.raises(CyberDBError, match="before start"):
            server.set_ip_whitelist(["10.1.2.3"])
        with pytest.raises(BackupCyberDBError, match="no such file or directory"):
            server.save_db("nowhere/data.cdb")


def test_proxy_save(here: Path) -> None:
    with Server("there") as server:
        server.start(port=0, password=PASSWORD)
        with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            proxy.create_cyberdict("d")
            before = (here / "there/data.cdb").exists()
            proxy.save()
            assert (here / "there/data.cdb").exists() > before


def test_digest(here: Path) -> None:
    """The digest is that of the content: it changes with it, and stays over a restart."""
    with Server("there") as server:
        server.start(port=0, password=PASSWORD)
        with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            assert proxy.digest()["digest"] == "0" * 32
            proxy.create_cyberdict("d", {1: "a"})["b"] = 2
            proxy.create_cyberlist("l", [0, 0])
            first = proxy.digest()
            assert proxy.info("digest") == first
            assert (first["tables"], first["items"], len(first["digest"])) == (2, 4, 32)
            proxy.get_cyberlist("l").append(0)
            assert proxy.digest()["digest"] != first["digest"]
            proxy.get_cyberlist("l").pop()
    with Server("there") as server:
        server.start(port=0, password=PASSWORD)

        async def story() -> None:
            async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
                again = await proxy.digest()
                assert {**again, "lsn": 0} == {**first, "lsn": 0}

        asyncio.run(story())


# ---- durable


def test_durable(here: Path) -> None:
    """A durable change, and all changes before it, survive a kill.

    A durable table has all methods.
    """
    server = Server("there")
    server.start(port=0, password=PASSWORD)
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict("d", {"a": 1})
        values = proxy.create_cyberlist("l")
        assert d.durable == d.durable.durable == {"a": 1}
        assert list(d.durable.items()) == [("a", 1)]
        d["b"] = 2
        values.durable.append(1)
        with proxy.pipeline() as pipe:
            n = pipe.on(d.durable).increment("n", 5)
            pipe.on(values).append(2)
            pipe.on(values.durable).extend([3, 4])
        assert n.value == 5

        async def story() -> None:
            async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
                table = (await proxy.get_cyberdict("d")).durable
                assert await table.increment("n") == 6
                assert [key async for key in table.durable] == ["a", "b", "n"]
                await proxy.save()
                await (await proxy.get_cyberlist("l")).durable.append(5)

        asyncio.run(story())
    kill(server)
    with server:
        server.start(port=0, password=PASSWORD)
        with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            assert proxy.get_cyberdict("d") == {"a": 1, "b": 2, "n": 6}
            assert proxy.get_cyberlist("l") == [1, 2, 3, 4, 5]


def test_durable_where_nothing_is_kept(here: Path) -> None:
    with Server() as server:
        server.start(port=0, password=PASSWORD)
        with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            d = proxy.create_cyberdict("d", {"a": 1})
            with pytest.raises(BadRequest, match="no journal"):
                d.durable["a"] = 2
            assert d.durable["a"] == 1


def test_a_disk_that_is_full(here: Path) -> None:
    with Server("there") as server:
        server.start(port=0, password=PASSWORD)
        process = server._process
        assert process is not None
        with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            d = proxy.create_cyberdict("d", {"a": 1})
            d.durable["a"] = 2
            subprocess.run(["prlimit", f"--pid={process.pid}", "--fsize=1"], check=True)
            with pytest.raises(NotDurable, match="d"):
                d.durable["a"] = 3
            with pytest.raises(ReadOnly):
                d["a"] = 4
            assert d["a"] == 3


# ---- how the program ends

# Counts until it is interrupted, then writes once more. It prints each acknowledged number. Its
# standard input is its terminal. A shell that starts the tests in the background makes them ignore
# SIGINT and SIGQUIT; the program does not.
PROGRAM = f"""
import fcntl, resource, signal, termios, cyberdb_fast
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
server = cyberdb_fast.Server("there")
server.start(port=0, password={PASSWORD!r})
with cyberdb_fast.connect(server.url, password={PASSWORD!r}) as client, client.get_proxy() as proxy:
    d = proxy.create_cyberdict("d")
    try:
        while True:
            print(d.increment("n"), flush=True)
    except KeyboardInterrupt:
        d["written"] = True
"""

ENDS: Dict[str, Callable[[int, int], object]] = {
    "ctrl-c": lambda pid, terminal: os.write(terminal, b"\x03"),
    "ctrl-c twice": lambda pid, terminal: os.write(terminal, b"\x03\x03"),
    "ctrl-backslash": lambda pid, terminal: os.write(terminal, b"\x1c"),
    "hang-up": lambda pid, terminal: os.close(terminal),
    "timeout": lambda pid, terminal: (os.kill(pid, signal.SIGTERM), os.killpg(pid, signal.SIGTERM)),
    "kill": lambda pid, terminal: os.kill(pid, signal.SIGKILL),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_server_ends_after_its_program(here: Path, end: str) -> None:
    """Acknowledged changes survive any end of the program; it can write during Ctrl-C."""
    terminal, stdin = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    os.close(stdin)
    assert program.stdout is not None
    with program, program.stdout as lines:
        for n in range(1, 101):
            assert int(lines.readline()) == n
        ENDS[end](program.pid, terminal)
        acknowledged = int(([str(n), *lines.read().split()])[-1])
    if end != "hang-up":
        os.close(terminal)
    with (here / "there/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits for the end of the server
    with Server("there") as server:
        server.start(port=0, password=PASSWORD)
        kept = content(server)["d"]
    assert kept["n"] >= acknowledged
    if end == "ctrl-c":
        assert kept["written"] is True
