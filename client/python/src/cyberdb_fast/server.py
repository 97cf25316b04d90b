"""Server: the cyberdb-fast binary as a child of this process."""

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

DATA_FILE = "data.cdb"  # in a data directory that was asked for
DEFAULT_MAX_CON = 500
DEFAULT_FILE, DEFAULT_CYCLE = "data.cdb", 900
CONTROL_SOCKET = "control.sock"  # in the data directory
# How long the server may take to stop: it answers what it has, within 10 seconds, and saves.
STOP_SECONDS = 15.0
# How long it may take when it is told to leave the last save out, as the journal has everything.
HURRY_SECONDS = 10.0


class Server:
    """A server, run as a child process: it ends with this one, however this one ends, and not before.

    It is in a session of its own. Ctrl-C, a closed terminal and a signal for the process group reach this program alone,
    which can still write while it handles them.

        server = Server()
        server.start(password="...")   # goes on at once; or run(), which waits

    As in CyberDB, it begins without tables and keeps none, unless it is told to: set_backup keeps them in a file, and data_dir in that
    directory. What is kept is kept whole, by a journal beside the file, and loaded by the next server that keeps the same file. load_db begins
    with a file, save_db writes one.

    The binary is that of the wheel, or on PATH, or named by binary or CYBERDB_FAST_BINARY. The data directory holds the salt of the
    password and the control socket, for one server at a time: it is data_dir, else FILE.server beside the file of set_backup, else a
    temporary directory of this server's own, which is removed when the server ends.
    """

    def __init__(self, data_dir: Optional[str] = None, binary: Optional[str] = None) -> None:
        self._asked_dir, self._binary = None if data_dir is None else Path(data_dir), binary
        self._own_dir: Optional[Path] = None  # while a server runs that keeps nothing
        self._allow: List[str] = []
        self._file: Optional[Path] = None
        self._cycle = DEFAULT_CYCLE
        self._load: Optional[Path] = None  # at the next start
        self._process: Optional[subprocess.Popen[str]] = None
        self._url = ""
        _servers.add(self)

    @property
    def url(self) -> str:
        """What connect() takes to reach it, without the password; empty while it does not run."""
        return self._url

    def set_ip_whitelist(self, ips: Iterable[str]) -> None:
        """Only these addresses, and this machine, may connect. Call it before start.

        Errors: CyberDBError for what is no address, or if the server runs; TypeCyberDBError for a text.
        """
        if self._running():
            raise CyberDBError("set_ip_whitelist comes before start")
        if isinstance(ips, str):
            raise TypeCyberDBError(f"set_ip_whitelist takes a list of addresses, not the text {ips!r}")
        allow = ["127.0.0.1"]
        for ip in ips:
            try:
                allow.append(str(ipaddress.ip_network(ip)))
            except ValueError as e:
                raise CyberDBError(f"set_ip_whitelist: {e}") from None
        self._allow = allow

    def set_backup(self, file_name: str = DEFAULT_FILE, cycle: int = DEFAULT_CYCLE) -> None:
        """Keeps the tables in a file, which is loaded at the start if it is there. Call it before start.

        It is saved every cycle seconds and when the server ends; a journal beside it has what changes in between.
        Errors: WrongFilenameCyberDBError if the name does not end in .cdb; TypeCyberDBError; BackupCyberDBError if the server runs, or for
        a cycle below 0.
        """
        if self._running():
            raise BackupCyberDBError("set_backup comes before start")
        if _whole("cycle", cycle) < 0:
            raise BackupCyberDBError(f"cycle is a number of seconds, 0 for never, not {cycle}")
        self._file, self._cycle = _database(file_name), cycle

    def save_db(self, file_name: str = DEFAULT_FILE) -> None:
        """Writes all tables, as they are at one moment, to a file; what was there before is kept as file_name.prev.

        A server that kept its tables in that file begins with these the next time. Errors: WrongFilenameCyberDBError; BackupCyberDBError, also
        for the file of a server that runs, and for one that is no database.
        """
        path = _database(file_name)
        self._control("save", path, replace=True)
        if path.resolve() != self._data_file().resolve():
            _set_aside(_journal(path))  # it is of the file that was there before

    def load_db(self, file_name: str = DEFAULT_FILE) -> None:
        """Takes the tables of a file, of this server or of CyberDB.

        While the server runs they take the place of all its tables, at one moment, or nothing happens. Before start the server begins with
        them; it never begins by replacing what set_backup or data_dir has kept.
        Errors: WrongFilenameCyberDBError; FileNotFoundError; BackupCyberDBError if the server cannot take it.
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
        """One request on the server's control socket."""
        if not self._running():
            raise BackupCyberDBError(f"the server does not run: {do}_db comes after start")
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
            raise BackupCyberDBError(f"{do} {path}: {reply.get('error', 'the server ended the connection')}")

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

        max_con is the most connections at once, timeout the seconds after which an idle one is closed (0: never).
        Errors: WrongPasswordCyberDBError without a password; CyberDBError with its reason if the server does not start.
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
        """As start, but prints what the server says of itself, and returns when it has ended: by Ctrl-C, or by stop() in another thread.

        SIGTERM ends the program when the server has ended, unless the program handles it itself.
        """
        print(self._spawn(host, port, password, max_con, timeout, print_log, encrypt), end="", flush=True)
        process = self._process
        if process is None:
            return
        try:
            with _ending_in_order():
                process.wait()
        except KeyboardInterrupt:
            pass
        finally:
            self.stop()

    def stop(self) -> None:
        """Stops the server and waits until it has ended and everything that it keeps is on disk.

        A server that takes longer than 15 seconds leaves its last save out: what it keeps is in the journal.
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
        if self._process is process:  # Ctrl-C in between leaves it to the next call, or to the exit of the program
            self._process = None
            self._remove_own_dir()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _spawn(self, host: str, port: int, password: Optional[str], max_con: int, timeout: int, print_log: bool, encrypt: bool) -> str:
        """Starts the child; returns its first lines, down to the one that says how to connect."""
        if self._running():
            raise CyberDBError("this server runs already")
        secret = find_password(password)
        self._remove_own_dir()  # of one that was killed
        if self._asked_dir is None and self._file is None:
            self._own_dir = Path(tempfile.mkdtemp(prefix="cyberdb-"))
        command = [
            binary.find(self._binary),
            "--end-with-stdin",
            f"--host={host}",
            f"--port={_whole('port', port)}",
            f"--dir={self._data_dir()}",
        ]
        command += [f"--max-con={_whole('max_con', max_con)}", f"--timeout={_whole('timeout', timeout)}"]
        command += ["--print-log"] * bool(print_log) + ["--encrypt"] * bool(encrypt)
        command += [f"--allow={address}" for address in self._allow]
        command += self._file_flags()
        own, begun = self._data_file(), self._begin()
        environment = {**os.environ, "CYBERDB_PASSWORD": secret}
        environment.pop("CYBERDB_PASSWORD_FILE", None)
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
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
        if begun:
            own.unlink(missing_ok=True)
            shutil.rmtree(_journal(own), ignore_errors=True)
        raise CyberDBError(f"the server did not start: {reason.strip()}" if failed else f"the server did not start (exit code {code})")

    def _data_dir(self) -> Path:
        if self._asked_dir is not None:
            return self._asked_dir
        if self._file is not None:
            return self._file.with_name(self._file.name + ".server")
        if self._own_dir is None:
            raise BackupCyberDBError("the server does not run, and keeps nothing")
        return self._own_dir

    def _data_file(self) -> Path:
        """Where the server's own tables are."""
        return self._file or (self._data_dir() / DATA_FILE).absolute()

    def _file_flags(self) -> List[str]:
        flags = [f"--file={self._data_file()}"]
        if self._file is not None:
            flags.append(f"--cycle={self._cycle}")
        elif self._asked_dir is None:
            flags += ["--cycle=0", "--no-journal"]
        return flags

    def _remove_own_dir(self) -> None:
        own, self._own_dir = self._own_dir, None
        if own is not None:
            shutil.rmtree(own, ignore_errors=True)

    def _begin(self) -> bool:
        """Copies the file that load_db has named to where the server's own is, and says whether it had to: its own it loads by itself."""
        own = self._data_file()
        if self._load is None or self._load.resolve() == own.resolve():
            return False
        if own.exists() or _journal(own).exists():
            raise BackupCyberDBError(f"load_db({str(self._load)!r}) would replace the tables in {own}: move that away, or leave load_db out")
        own.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = own.with_suffix(".begin")
        part.touch(mode=0o600)
        shutil.copyfile(self._load, part)
        with part.open("r+b") as copy:
            os.fsync(copy.fileno())
        part.replace(own)
        return True

    def _forget(self) -> None:
        """In a forked child: the server is the parent's, and must not outlive it because the child holds the pipe."""
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process.returncode = 0  # nothing to wait for
        self._process, self._url = None, ""
        self._own_dir = None


@contextmanager
def _ending_in_order() -> Generator[None, None, None]:
    """SIGTERM is an exit like any other meanwhile: the next server can take the place of this one when the program has ended."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _database(file_name: str) -> Path:
    """The file as the server finds it, wherever it runs."""
    if not isinstance(file_name, (str, os.PathLike)) or not str(file_name).endswith(".cdb"):
        raise WrongFilenameCyberDBError(f"the name of a database file ends in .cdb, not {file_name!r}")
    return Path(file_name).absolute()


def _journal(file: Path) -> Path:
    """The directory of a data file's journal."""
    return file.with_name(file.name + ".journal")


def _set_aside(directory: Path) -> None:
    """Renames a directory, if it is there, to one of the same name with .prev."""
    if directory.exists():
        previous = directory.with_name(directory.name + ".prev")
        shutil.rmtree(previous, ignore_errors=True)
        directory.replace(previous)


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeCyberDBError(f"{name} is a whole number, not {type(value).__name__}")
    return value


_servers: weakref.WeakSet[Server] = weakref.WeakSet()


def _stop_all() -> None:
    for server in list(_servers):
        server.stop()


def _forget_all() -> None:
    for server in list(_servers):
        server._forget()


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
