"""Server runs the cyberdb-fast binary as a child process."""

from __future__ import annotations

import atexit
import ipaddress
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generator, Iterable, List, Optional

from . import binary
from .errors import BackupCyberDBError, CyberDBError, TypeCyberDBError, WrongFilenameCyberDBError
from .settings import DEFAULT_HOST, DEFAULT_PORT, find_password

DATA_FILE = "data.cdb"  # in the data directory, without set_backup
DEFAULT_MAX_CON = 500
DEFAULT_FILE, DEFAULT_CYCLE = "data.cdb", 900
CONTROL_SOCKET = "control.sock"  # in the data directory
# How long stop waits after SIGTERM: the server answers outstanding requests, for at most 10 s, and
# saves.
STOP_SECONDS = 15.0
# How long stop waits after a second SIGTERM, which makes the server skip the last save.
HURRY_SECONDS = 10.0


class Server:
    """A server that runs as a child process. It stops when this process ends, in any way.

    The server is in its own session. Ctrl-C, a closed terminal and a signal to the process group
    reach only this program, which can still use the server while it handles them.

        with cyberdb.Server() as server:
            server.start(port=0, password="secret")  # returns immediately; run() waits for the end
            with cyberdb.connect(server.url, password="secret") as client:
                print(client.stats())

    As in CyberDB, a server starts without tables and does not save them by default. set_backup
    saves them in a file, and data_dir in that directory. Then a journal next to the file makes them
    durable between saves, and the next server with the same file loads them. load_db starts with
    the tables of another file, save_db writes a file.

    The binary is the argument binary, or CYBERDB_FAST_BINARY, or the one in the wheel, or the one
    on PATH. The data directory has the salt of the password and the control socket, for one server
    at a time. It is data_dir, or FILE.server next to the file of set_backup, or a temporary
    directory, which is removed when the server stops.
    """

    def __init__(self, data_dir: Optional[str] = None, binary: Optional[str] = None) -> None:
        self._asked_dir, self._binary = None if data_dir is None else Path(data_dir), binary
        self._temporary_dir: Optional[Path] = None  # temporary, while a server without a file runs
        self._allow: List[str] = []
        self._file: Optional[Path] = None
        self._cycle = DEFAULT_CYCLE
        self._load: Optional[Path] = None  # loaded at the next start
        self._process: Optional[subprocess.Popen[str]] = None
        self._url = ""
        _servers.add(self)

    @property
    def url(self) -> str:
        """The URL for connect(), without the password; empty while the server does not run."""
        return self._url

    def set_ip_whitelist(self, ips: Iterable[str]) -> None:
        """Allows connections only from these addresses and from this machine. Call it before start.

        Errors: CyberDBError if an address is not valid or the server runs; TypeCyberDBError if ips
        is a string.
        """
        if self._running():
            raise CyberDBError("call set_ip_whitelist before start")
        if isinstance(ips, str):
            raise TypeCyberDBError(f"set_ip_whitelist takes a list of addresses, not the str {ips!r}")
        allow = ["127.0.0.1"]
        for ip in ips:
            try:
                allow.append(str(ipaddress.ip_network(ip)))
            except ValueError as e:
                raise CyberDBError(f"set_ip_whitelist: {e}") from None
        self._allow = allow

    def set_backup(self, file_name: str = DEFAULT_FILE, cycle: int = DEFAULT_CYCLE) -> None:
        """Saves the tables in a file, and loads the file at the start if it exists.

        Call it before start.

        The server saves every cycle seconds, and when it stops. A journal next to the file has the
        changes in between. Errors: WrongFilenameCyberDBError if the name does not end in .cdb;
        TypeCyberDBError; BackupCyberDBError if the server runs or cycle is negative.
        """
        if self._running():
            raise BackupCyberDBError("call set_backup before start")
        if _integer("cycle", cycle) < 0:
            raise BackupCyberDBError(f"cycle must be a number of seconds, or 0 for never, got {cycle}")
        self._file, self._cycle = _database(file_name), cycle

    def save_db(self, file_name: str = DEFAULT_FILE) -> None:
        """Writes a snapshot of all tables to a file. An existing file is kept as file_name.prev.

        A server with set_backup(file_name) starts with these tables the next time. Errors:
        WrongFilenameCyberDBError; BackupCyberDBError, also if another running server uses the file
        or if the existing file is not a database.
        """
        path = _database(file_name)
        self._control("save", path, replace=True)
        if path.resolve() != self._data_file().resolve():
            _keep_previous(_journal(path))  # it belongs to the previous file

    def load_db(self, file_name: str = DEFAULT_FILE) -> None:
        """Loads the tables of a file that this server or CyberDB has written.

        If the server runs, they replace all its tables atomically, or nothing changes. Before
        start, the server will start with them, unless set_backup or data_dir has tables already:
        start then raises BackupCyberDBError. Errors: WrongFilenameCyberDBError; FileNotFoundError;
        BackupCyberDBError if the server cannot load the file.
        """
        path = _database(file_name)
        if not stat.S_ISREG(path.stat().st_mode):
            raise BackupCyberDBError(f"load_db: {path} is not a regular file")
        if self._running():
            self._control("load", path, replace=True)
        else:
            self._load = path

    def _running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _control(self, do: str, path: Path, **options: bool) -> None:
        """Sends one request to the server's control socket."""
        if not self._running():
            raise BackupCyberDBError(f"the server does not run: call {do}_db after start")
        if not hasattr(socket, "AF_UNIX"):
            raise BackupCyberDBError(f"{do}_db needs Unix sockets, which this Python does not have: use proxy.save()")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            try:
                control.connect(str(self._data_dir() / CONTROL_SOCKET))
                control.sendall(json.dumps({"do": do, "path": str(path), **options}).encode() + b"\n")
                with control.makefile("rb") as replies:
                    reply = json.loads(replies.readline() or b"{}")
            except (OSError, ValueError) as e:
                raise BackupCyberDBError(f"{do} {path}: {e}") from e
        if not reply.get("ok"):
            raise BackupCyberDBError(f"{do} {path}: {reply.get('error', 'the server closed the connection')}")

    def start(
        self,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        password: Optional[str] = None,
        max_con: int = DEFAULT_MAX_CON,
        timeout: int = 0,
        print_log: bool = False,
        encrypt: bool = False,
    ) -> None:
        """Starts the server and returns when clients can connect.

        With port 0 it takes a free one, which url tells. max_con is the maximum number of
        connections. timeout is the time in seconds after which the server closes an idle connection
        (0: never). Without encrypt, requests and replies can be read on the network; the password
        is never sent. Errors: WrongPasswordCyberDBError without a password; CyberDBError with the
        reason if the server does not start.
        """
        self._spawn(host, port, password, max_con, timeout, print_log, encrypt)

    def run(
        self,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        password: Optional[str] = None,
        max_con: int = DEFAULT_MAX_CON,
        timeout: int = 0,
        print_log: bool = False,
        encrypt: bool = False,
    ) -> None:
        """As start, but prints the server's first lines and returns when the server has stopped.

        Ctrl-C stops it, or stop() in another thread. SIGTERM ends the program once the server has
        stopped, unless the program handles SIGTERM itself.
        """
        print(self._spawn(host, port, password, max_con, timeout, print_log, encrypt), end="", flush=True)
        process = self._process
        if process is None:
            return
        try:
            with _exit_on_sigterm():
                process.wait()
        except KeyboardInterrupt:
            pass
        finally:
            self.stop()

    def stop(self) -> None:
        """Stops the server and waits until it has saved its tables and has ended.

        If that takes longer than 15 seconds, the server skips the last save; the journal has the
        changes.
        """
        process, self._url = self._process, ""
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        for seconds, hurry in ((STOP_SECONDS, process.terminate), (HURRY_SECONDS, process.kill)):
            try:
                process.wait(seconds)
                break
            except subprocess.TimeoutExpired:
                hurry()
        process.wait()
        if self._process is process:  # after a Ctrl-C in between, the next call or the exit of the program does it
            self._process = None
            self._remove_temporary_dir()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _spawn(
        self, host: str, port: int, password: Optional[str], max_con: int, timeout: int, print_log: bool, encrypt: bool
    ) -> str:
        """Starts the child; returns its first lines, up to the one that says how to connect."""
        if self._running():
            raise CyberDBError("the server runs already")
        secret = find_password(password)
        self._remove_temporary_dir()  # of a server that was killed
        if self._asked_dir is None and self._file is None:
            self._temporary_dir = Path(tempfile.mkdtemp(prefix="cyberdb-"))
        command = [
            binary.find(self._binary),
            "--end-with-stdin",
            f"--host={host}",
            f"--port={_integer('port', port)}",
            f"--dir={self._data_dir()}",
        ]
        command += [f"--max-con={_integer('max_con', max_con)}", f"--timeout={_integer('timeout', timeout)}"]
        command += ["--print-log"] * bool(print_log) + ["--encrypt"] * bool(encrypt)
        command += [f"--allow={address}" for address in self._allow]
        command += self._file_flags()
        own, copied = self._data_file(), self._copy_loaded_file()
        environment = {**os.environ, "CYBERDB_PASSWORD": secret}
        environment.pop("CYBERDB_PASSWORD_FILE", None)
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )
        self._process = process
        lines: List[str] = []
        for line in process.stdout or ():
            lines.append(line)
            title, _, rest = line.strip().partition(" ")
            if title == "connect":
                self._url, self._load = rest.strip(), None
                return "".join(lines)
        code = process.wait()
        _, failed, reason = "".join(lines).partition("failed ")
        self.stop()
        if copied:
            own.unlink(missing_ok=True)
            shutil.rmtree(_journal(own), ignore_errors=True)
        raise CyberDBError(
            f"the server did not start: {reason.strip()}" if failed else f"the server did not start (exit code {code})"
        )

    def _data_dir(self) -> Path:
        if self._asked_dir is not None:
            return self._asked_dir
        if self._file is not None:
            return self._file.with_name(self._file.name + ".server")
        if self._temporary_dir is None:
            raise BackupCyberDBError("the server does not run and has no data directory")
        return self._temporary_dir

    def _data_file(self) -> Path:
        """The data file of the server."""
        return self._file or (self._data_dir() / DATA_FILE).absolute()

    def _file_flags(self) -> List[str]:
        flags = [f"--file={self._data_file()}"]
        if self._file is not None:
            flags.append(f"--cycle={self._cycle}")
        elif self._asked_dir is None:
            flags += ["--cycle=0", "--no-journal"]
        return flags

    def _remove_temporary_dir(self) -> None:
        own, self._temporary_dir = self._temporary_dir, None
        if own is not None:
            shutil.rmtree(own, ignore_errors=True)

    def _copy_loaded_file(self) -> bool:
        """Copies the file of load_db to the data file. False if there is nothing to copy."""
        own = self._data_file()
        if self._load is None or self._load.resolve() == own.resolve():
            return False
        if own.exists() or _journal(own).exists():
            raise BackupCyberDBError(
                f"load_db({str(self._load)!r}) would replace the tables in {own}: "
                "move that file, or do not call load_db"
            )
        own.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = own.with_suffix(".begin")
        part.touch(mode=0o600)
        shutil.copyfile(self._load, part)
        with part.open("r+b") as copy:
            os.fsync(copy.fileno())
        part.replace(own)
        return True

    def _detach(self) -> None:
        """In a forked child: closes the pipes, so that the server stops with the parent."""
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process.returncode = 0  # nothing to wait for
        self._process, self._url = None, ""
        self._temporary_dir = None


@contextmanager
def _exit_on_sigterm() -> Generator[None, None, None]:
    """Makes SIGTERM raise SystemExit, so that the server has stopped when the program ends."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _database(file_name: str) -> Path:
    """The absolute path of a database file.

    WrongFilenameCyberDBError if it does not end in .cdb.
    """
    if not isinstance(file_name, (str, os.PathLike)) or not str(file_name).endswith(".cdb"):
        raise WrongFilenameCyberDBError(f"the name of a database file must end in .cdb, got {file_name!r}")
    return Path(file_name).absolute()


def _journal(file: Path) -> Path:
    """The journal directory of a data file."""
    return file.with_name(file.name + ".journal")


def _keep_previous(directory: Path) -> None:
    """Renames a directory to NAME.prev, if it exists."""
    if directory.exists():
        previous = directory.with_name(directory.name + ".prev")
        shutil.rmtree(previous, ignore_errors=True)
        directory.replace(previous)


def _integer(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeCyberDBError(f"{name} must be an int, got {type(value).__name__}")
    return value


_servers: weakref.WeakSet[Server] = weakref.WeakSet()


def _stop_all() -> None:
    for server in list(_servers):
        server.stop()


def _detach_all() -> None:
    for server in list(_servers):
        server._detach()


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_detach_all)
