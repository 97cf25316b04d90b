"""Runs the frameworks' own tests on the adapters, with a real server: `.ci/adapters [SUITE...]`.

A suite is an sdist of PyPI, which is unpacked into a temporary directory, and a file of this
directory that gives our adapter to its tests. It fails if a test fails, and if it has no tests.
"""

from __future__ import annotations

import ast
import hashlib
import html
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, Tuple

from cyberdb_fast import Server

HERE = Path(__file__).resolve().parent
INDEX = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
PASSWORD = "judged"
SUITE_SECONDS = 600
PYTHON_CLASSES = "python_classes=Test* test_*"  # kombu and Celery begin theirs with test_


# Celery's integration tests that are run, as words in their names. Many others need Redis itself,
# fail with Redis too, or take long.
CELERY_TESTS = (
    *(
        "simple_call",
        "basic_task",
        "ignore_result",
        "reject",
        "pydantic",
        "test_fail",
        "wrong_arguments",
        "unpickleable",
    ),
    *("retried", "unicode", "properties", "multithread", "multiprocess"),
    *("simple_chain", "complex_chain", "group_results_in_chain", "test_group_chain", "nested_group_chain"),
    *("single_task_header", "test_group_kwargs", "chord_order"),
)

# The variables of a process: CYBERDB_URL and CYBERDB_PASSWORD say where the server is.
Environment = Dict[str, str]


@dataclass
class Outcome:
    """What the runner of a suite has said."""

    closing: str  # its last line
    passed: int
    failed: int
    skipped: List[Tuple[str, str]] = field(default_factory=list)  # a test, and the reason


@dataclass
class Suite:
    """Tests of a framework."""

    name: str
    project: str  # on PyPI; empty: the tests are those of this repository
    run: Callable[[Path, Environment], Outcome]  # runs the tests of the unpacked sdist
    installed: bool = False  # the tests are in the package itself: run gets an empty directory


def sdist(project: str, version: str, into: Path) -> Path:
    """Unpacks the sdist of a project and returns its directory. Errors: LookupError, OSError."""
    page = f"{INDEX}/{normal(project)}/"
    with urllib.request.urlopen(page, timeout=60) as reply:
        base, text = reply.geturl(), reply.read().decode()
    for link in re.findall(r'href="([^"]+)"', text):
        url = urllib.parse.urlsplit(urllib.parse.urljoin(base, html.unescape(link)))
        name = urllib.parse.unquote(url.path.rpartition("/")[2])
        if normal(name) == normal(f"{project}-{version}.tar.gz"):
            break
    else:
        raise LookupError(f"{page} has no sdist of version {version}")
    archive = into / name
    with urllib.request.urlopen(url.geturl(), timeout=60) as reply, archive.open("wb") as file:
        shutil.copyfileobj(reply, file)
    expected = url.fragment.partition("sha256=")[2]
    if expected and hashlib.sha256(archive.read_bytes()).hexdigest() != expected:
        raise LookupError(f"{name} is not the file that {page} describes")
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    return next(path for path in into.iterdir() if path.is_dir())


def normal(name: str) -> str:
    """The name of a project or file, as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def run(*command: object, directory: Path, environment: Environment) -> Tuple[str, int]:
    """Runs a command of this Python; returns its output and its code. Shows what fails."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SUITE_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        print(done.stdout)
    return done.stdout, done.returncode


def cachelib(source: Path, environment: Environment) -> Outcome:
    shutil.copy(HERE / "cachelib_suite.py", source / "tests" / "test_cyberdb.py")
    return pytest(environment, source / "tests", "test_cyberdb.py")


def flask_caching(source: Path, environment: Environment, values: str = "not pickle") -> Outcome:
    """The tests with values of one kind: two suites sleep half as long as one."""
    tests = source / "tests"
    (tests / "conftest.py").rename(tests / "flask_caching_fixtures.py")
    shutil.copy(HERE / "flask_caching_conftest.py", tests / "conftest.py")
    shutil.copy(HERE / "flask_caching_suite.py", tests / "test_cyberdb.py")
    names = ("cyberdb", "cache", "view", "memoize", "templates", "signals", "hash_method", "subclassing")
    return pytest(environment, tests, "-k", values, *(f"test_{name}.py" for name in names))


def django(source: Path, environment: Environment) -> Outcome:
    tests = source / "tests"
    shutil.copy(HERE / "django_suite.py", tests / "cache" / "cyberdb_tests.py")
    shutil.copy(HERE / "django_settings.py", tests / "cyberdb_settings.py")
    sessions = ("CacheSession", "CacheDBSession", "CacheDBSessionWithTimeZone")
    output, code = run(
        *("runtests.py", "--parallel", 1, "--settings", "cyberdb_settings", "-v", 2),
        *("cache.cyberdb_tests", *(f"sessions_tests.tests.{name}Tests" for name in sessions)),
        directory=tests,
        environment=environment,
    )
    ran = re.search(r"^Ran (\d+) tests? in .*$", output, re.MULTILINE)
    closing = re.search(r"^(OK|FAILED)\b.*$", output, re.MULTILINE)
    if ran is None or closing is None:
        return Outcome(output.strip().rpartition("\n")[2], 0, 1)
    failed = sum(map(int, re.findall(r"(?:failures|errors|unexpected successes)=(\d+)", closing[0])))
    skipped = [
        (test, ast.literal_eval(reason))
        for test, reason in re.findall(r"\(([\w.]+)\)(?:\n.*)? \.\.\. skipped (.*)$", output, re.MULTILINE)
    ]
    if code != 0 and not failed:
        failed = 1
    return Outcome(f"{ran[0]}: {closing[0]}", max(0, int(ran[1]) - failed - len(skipped)), failed, skipped)


def dogpile(directory: Path, environment: Environment) -> Outcome:
    shutil.copy(HERE / "dogpile_suite.py", directory / "test_cyberdb.py")
    return pytest(environment, directory, "test_cyberdb.py")


def aiocache(source: Path, environment: Environment) -> Outcome:
    shutil.copy(HERE / "aiocache_conftest.py", source / "tests" / "acceptance" / "conftest.py")
    names = ("base", "decorators", "lock", "plugins", "serializers")
    return pytest(environment, source, *(f"tests/acceptance/test_{name}.py" for name in names))


def starlette(source: Path, environment: Environment) -> Outcome:
    tests = source / "tests" / "middleware"
    (tests / "test_session.py").rename(tests / "session_tests.py")
    shutil.copy(HERE / "starlette_suite.py", tests / "test_cyberdb.py")
    return pytest(environment, source, "tests/middleware/test_cyberdb.py")


def kombu(source: Path, environment: Environment) -> Outcome:
    shutil.copy(HERE / "kombu_suite.py", source / "t" / "integration" / "test_cyberdb.py")
    return pytest(environment, source, "t/integration/test_cyberdb.py")


def celery_backend(source: Path, environment: Environment) -> Outcome:
    shutil.copy(HERE / "celery_suite.py", source / "t" / "unit" / "backends" / "test_cyberdb.py")
    # YAML is not installed.
    return pytest(environment, source, "t/unit/backends/test_cyberdb.py", "-k", "not yaml")


def celery(source: Path, environment: Environment) -> Outcome:
    """Some of Celery's integration tests, with a worker."""
    urls = {"TEST_BROKER": environment["CYBERDB_URL"], "TEST_BACKEND": environment["CYBERDB_URL"]}
    return pytest(
        {**environment, **urls},
        source,
        *("-p", "celery.contrib.pytest", "-p", "cyberdb_fast.adapters.celery"),
        *("t/integration/test_tasks.py", "t/integration/test_canvas.py"),
        *("-k", " or ".join(CELERY_TESTS)),
    )


def ours(_: Path, environment: Environment) -> Outcome:
    tests = [*sorted(HERE.parent.glob("tests/test_adapters*.py")), HERE.parent / "tests" / "test_tracing.py"]
    return pytest(environment, HERE.parent, *map(str, tests))


def pytest(environment: Environment, directory: Path, *arguments: str) -> Outcome:
    """Runs tests in a directory. What ends the run early counts as a failed test."""
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary, "report.xml")
        command = (
            "-m",
            "pytest",
            "-o",
            "addopts=-q",
            "-o",
            PYTHON_CLASSES,
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            *arguments,
        )
        output, code = run(*command, directory=directory, environment=environment)
        outcome = Outcome(output.strip().rpartition("\n")[2], 0, 0)
        cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    for case in cases:
        skip = case.find("skipped")
        if skip is not None:
            outcome.skipped.append((f"{case.get('classname')}.{case.get('name')}", skip.get("message", "")))
        elif case.find("failure") is not None or case.find("error") is not None:
            outcome.failed += 1
        else:
            outcome.passed += 1
    if code != 0 and cases and not outcome.failed:
        outcome.failed = 1
    return outcome


SUITES = [
    Suite("cachelib", "cachelib", cachelib),
    Suite("flask-caching", "Flask-Caching", flask_caching),
    Suite("flask-caching-pickle", "Flask-Caching", partial(flask_caching, values="pickle")),
    Suite("django", "Django", django),
    Suite("dogpile.cache", "dogpile.cache", dogpile, installed=True),
    Suite("aiocache", "aiocache", aiocache),
    Suite("starlette", "starlette", starlette),
    Suite("kombu", "kombu", kombu),
    Suite("celery-backend", "celery", celery_backend),
    Suite("celery", "celery", celery),
    Suite("ours", "", ours),
]


def pins() -> Dict[str, str]:
    """The versions in requirements.txt."""
    lines = (HERE / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def judge(suite: Suite, version: str) -> Outcome:
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) if suite.installed else HERE
        if suite.project and not suite.installed:
            source = sdist(suite.project, version, Path(directory))
        with Server() as server:
            server.start(port=0, password=PASSWORD)
            return suite.run(source, {**os.environ, "CYBERDB_URL": server.url, "CYBERDB_PASSWORD": PASSWORD})


def main(names: List[str]) -> int:
    unknown = set(names) - {suite.name for suite in SUITES}
    if unknown:
        print(f"no suite {', '.join(sorted(unknown))}: there are {', '.join(s.name for s in SUITES)}", file=sys.stderr)
        return 2
    os.environ["CYBERDB_LOG_LEVEL"] = "warn"
    versions, outcomes = pins(), []
    suites = [suite for suite in SUITES if not names or suite.name in names]
    with ThreadPoolExecutor(len(suites)) as pool:  # they wait more than they compute
        judging = pool.map(lambda suite: judge(suite, versions.get(suite.project, "")), suites)
        for suite, outcome in zip(suites, judging):
            outcomes.append(outcome)
            print(f"== {suite.name} {versions.get(suite.project, '')}".rstrip())
            for test, reason in outcome.skipped:
                print(f"skipped {test}: {reason}")
            print(outcome.closing, flush=True)
            if not outcome.passed + outcome.failed:
                print(f"{suite.name}: no test ran", flush=True)
    passed, failed = (sum(getattr(outcome, name) for outcome in outcomes) for name in ("passed", "failed"))
    print(f"adapters: {len(outcomes)} suites, {passed} passed, {failed} failed")
    return int(failed > 0 or any(not outcome.passed for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
