"""URLs and addresses: the accepted forms, and the errors for the others."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any, Callable
from urllib.parse import quote

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import Server, WrongInputCyberDBError, WrongPasswordCyberDBError


def ping(host: str, **arguments: Any) -> None:
    with cyberdb_fast.connect(host, **arguments) as client, client.get_proxy() as proxy:
        proxy.ping()


@pytest.mark.parametrize(
    "form",
    [
        "cyberdb://:{pw}@127.0.0.1:{port}",
        "CYBERDB://:{pw}@127.0.0.1:{port}/",
        "  cyberdb://:{pw}@127.0.0.1:{port}\n",
        "cyberdb://:{pw}@localhost:{port}",
        "cyberdb://:{pw}@127.0.0.1:{port}?request_timeout=2.5&max_connections=3",
    ],
)
def test_urls_that_work(server: Server, form: str) -> None:
    ping(form.format(pw=quote(PASSWORD, safe=""), port=server.url.rpartition(":")[2]))


def test_host_and_port_in_one(server: Server) -> None:
    ping(server.url.partition("://")[2], password=PASSWORD)


def test_an_option_of_the_url_is_honoured(server: Server) -> None:
    url = f"{server.url}?max_connections=1&pool_timeout=0.05"
    with cyberdb_fast.connect(url, password=PASSWORD) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict("options of a URL", dict.fromkeys(range(5), "x" * 1000), exist_ok=True)
        assert len(d) == 5
    with pytest.raises(WrongInputCyberDBError, match="max_connections must be a whole number from 1 to"):
        cyberdb_fast.connect(f"{server.url}?max_connections=0", password=PASSWORD)


@pytest.mark.parametrize("form", ["unix://{path}", "unix:{path}", "unix://./s.sock"])
def test_unix_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "s.sock"
    command = [os.environ["CYBERDB_FAST_BINARY"], "--host=", f"--unix={path}", "--dir=data", "--end-with-stdin"]
    environment = {**os.environ, "CYBERDB_PASSWORD": PASSWORD}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert next((line for line in process.stdout if "connect" in line), "")
        ping(form.format(path=path), password=PASSWORD)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis://127.0.0.1", "redis://"),
        ("tcp://127.0.0.1", "tcp://"),
        ("cyberdb://:sec[ret@127.0.0.1", "cannot be parsed"),
        ("cyberdb://[::1", "cannot be parsed"),
        ("cyberdb://127.0.0.1:99999", "cannot be parsed"),
        ("cyberdb://:sec#ret@127.0.0.1", "percent-encoded"),
        ("cyberdb://:secret@127.0.0.1#x", "%23"),
        ("cyberdb://:secret@127.0.0.1/3", "no numbered databases"),
        ("cyberdb://user:secret@127.0.0.1", "names a user"),
        ("cyberdb://:secret@127.0.0.1?timeout=3", "'timeout' is not one of time_out, max_connections"),
        (
            "cyberdb://:secret@127.0.0.1?request_timeout=soon",
            "request_timeout must be a number of seconds from 0.001 to 1,000,000,000, or none (no limit), got 'soon'",
        ),
        ("cyberdb://:secret@127.0.0.1?pool_timeout=-1", "pool_timeout must be a number of seconds from 0 to"),
        ("cyberdb://:secret@127.0.0.1?max_connections=1.5", "max_connections must be a whole number"),
        ("cyberdb://:secret@127.0.0.1?check=no", "check must be true or false, got 'no'"),
        ("cyberdb://:secret@127.0.0.1?track_changes=1", "track_changes must be true or false, or none (as the"),
        ("cyberdb://:secret@127.0.0.1?retries=none", "retries must be a whole number from 0 to 1,000, got 'none'"),
        ("cyberdb://:secret@127.0.0.1?backoff=nan", "backoff must be a number of seconds from 0.001"),
        ("cyberdb://:secret@127.0.0.1?retries=1&retries=2", "'retries' is given twice"),
        ("unix://run/s.sock", "unix://./path"),
        ("unix://", "no path"),
        ("127.0.0.1:http", "the port of"),
        ("127.0.0.1:", "the port of"),
        ("127.0.0.1:70000", "the port of"),
        (":secret@127.0.0.1:9980", "no URL"),
        (":secret@127.0.0.1:http", "no URL"),
        ("cyberdb:/:secret@127.0.0.1", "no URL"),
        ("cyberdb://:12?secret@127.0.0.1", "%3F"),
        ("unix://:12/secret@/run/s.sock", "%2F"),
        ("db..example", "not the name of a host"),
        ("cyberdb://" + 64 * "x", "not the name of a host"),
    ],
)
def test_urls_that_are_refused(url: str, text: str) -> None:
    with pytest.raises(WrongInputCyberDBError) as refused:
        cyberdb_fast.connect(url, password="x", check=False)
    assert text in str(refused.value)
    assert not re.search(r"secret|[#\[]ret", str(refused.value))
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_password_is_a_text(server: Server) -> None:
    for wrong in (123456, b"123456", ["x"]):
        with pytest.raises(WrongPasswordCyberDBError, match=f"must be a str, got {type(wrong).__name__}"):
            cyberdb_fast.connect(server.url, password=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("password", ["p@ss/w#rd?%25&[x]:é☃", " lead and trail ", "%41", "日本語", "#", "a+b"])
def test_odd_passwords(start: Callable[..., Server], password: str) -> None:
    address = start(password=password).url.partition("://")[2]
    ping(f"cyberdb://:{quote(password, safe='')}@{address}")
