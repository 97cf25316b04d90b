"""Plays the scenarios of client/testdata/waiting.json in one world.

The head of that file says what they mean.

    python waiting_worlds.py threads|gevent|asyncio|forks URL PASSWORD

It prints a line of JSON for each scenario: its name, and what went wrong or null. One text serves
all worlds: what a client of asyncio returns is awaited, and what another one returns is not.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and sys.argv[1] == "gevent":
    from gevent import monkey

    monkey.patch_all()

import asyncio
import ctypes
import inspect
import json
import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Coroutine, Dict, List, Optional, Tuple

import cyberdb_fast
from cyberdb_fast import aio

SCENARIOS: List[Dict[str, Any]] = json.loads(
    (Path(__file__).resolve().parents[2] / "testdata" / "waiting.json").read_text()
)["scenarios"]
LATE = 60.0  # an actor that has not answered after this time hangs


class Interrupted(BaseException):
    """What interrupts an actor, where the world has nothing of its own."""


class Failed(Exception):
    """The error of a function that fails."""


async def got(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def drive(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as e:
        return e.value
    raise RuntimeError("a coroutine of asyncio in another world")


class Doer:
    """What an actor does, with a client of its own."""

    def __init__(self, client: Any, prefix: str, nap: Callable[[float], Any]) -> None:
        self.client, self.prefix, self.nap = client, prefix, nap
        self.proxy = client.get_proxy()
        self.locks: Dict[str, Any] = {}
        self.items: Dict[str, Any] = {}
        self.subscription: Any = None

    async def do(self, step: Dict[str, Any], name: str) -> Tuple[Any, List[str], str, float]:
        """The result, or the names of the error's classes and its text; and the seconds it took."""
        given = {k: v for k, v in step.items() if k not in OF_THE_CONDUCTOR}
        began = time.monotonic()
        try:
            await got(self.proxy.connect())
            return await getattr(self, name)(**given), [], "", time.monotonic() - began
        except Exception as e:
            names = [kind.__name__ for kind in type(e).__mro__]
            return None, names, traceback.format_exc(), time.monotonic() - began

    async def table(self, name: str) -> Any:
        kind = await got(self.client_kind(name))
        return await got(kind(self.prefix + name))

    def client_kind(self, name: str) -> Any:
        return self.proxy.get_cyberlist

    async def lock(
        self, name: str, ttl: float = 30, wait: Any = None, renew: bool = True, max_hold: Any = None, n: Any = None
    ) -> Any:
        if n is None:
            lock = self.proxy.lock(self.prefix + name, ttl, wait, renew, max_hold)
        else:
            lock = self.proxy.semaphore(self.prefix + name, n, ttl, wait, renew, max_hold)
        if not await got(lock.acquire()):
            return None
        self.locks[name] = lock
        return lock.fence

    async def unlock(self, name: str) -> None:
        await got(self.locks.pop(name).release())

    async def lost(self, name: str) -> bool:
        lost: bool = self.locks[name].lost
        return lost

    async def locked(self, name: str) -> Any:
        return await got(self.proxy.lock(self.prefix + name).locked())

    async def set(self, table: str, key: Any, value: Any, lock: Optional[str] = None) -> None:
        found = await got(self.proxy.get_cyberdict(self.prefix + table))
        if lock is not None:
            found = found.fenced(self.locks[lock])
        await got(found.set(key, value))

    async def get(self, table: str, key: Any) -> Any:
        return await got((await got(self.proxy.get_cyberdict(self.prefix + table)))[key])

    async def put(self, queue: str, value: Any, delay: float = 0) -> None:
        await got((await self.table(queue)).put(value, delay=delay))

    async def take(self, queue: str, lease: float = 60, wait: float = 0, **kwargs: str) -> Any:
        item = await got((await self.table(queue)).take(lease, wait))
        if item is None:
            return None
        self.items[kwargs.get("as", "item")] = item
        return [item.value, item.deliveries]

    async def ack(self, queue: str, item: str = "item") -> None:
        await got((await self.table(queue)).ack(self.items[item]))

    async def nack(self, queue: str, item: str = "item", delay: float = 0) -> None:
        await got((await self.table(queue)).nack(self.items[item].receipt, delay=delay))

    async def extend(self, queue: str, lease: float, item: str = "item") -> None:
        await got((await self.table(queue)).extend(self.items[item], lease))

    async def held(self, queue: str) -> List[int]:
        found = await self.table(queue)
        return [await got(found.leased()), await got(found.delayed())]

    async def pop(self, queue: str, wait: float = 0) -> Any:
        return await got((await self.table(queue)).pop(wait=wait))

    async def popleft(self, queue: str, wait: float = 0) -> Any:
        return await got((await self.table(queue)).popleft(wait=wait))

    async def content(self, queue: str) -> Any:
        return await got((await self.table(queue)).copy())

    async def clear(self, queue: str) -> None:
        await got((await self.table(queue)).clear())

    async def compute(
        self,
        table: str,
        key: Any,
        value: Any,
        ttl: float = 60,
        stale: float = 0,
        lease: float = 30,
        takes: float = 0,
        fails: bool = False,
    ) -> List[Any]:
        ran: List[bool] = []

        def begin() -> None:
            ran.append(True)

        def end() -> Any:
            if fails:
                raise Failed
            return value

        def function() -> Any:
            begin()
            self.nap(takes)
            return end()

        async def coroutine() -> Any:
            begin()
            await self.nap(takes)
            return end()

        found = await got(self.proxy.get_cyberdict(self.prefix + table))
        of_asyncio = isinstance(self.client, aio.Client)
        result = await got(
            found.get_or_compute(key, coroutine if of_asyncio else function, ttl=ttl, stale=stale, lease=lease)
        )
        return [result, bool(ran)]

    async def publish(self, channel: str, value: Any) -> Any:
        return await got(self.proxy.publish(self.prefix + channel, value))

    async def subscribe(self, channels: Any = (), prefixes: Any = ()) -> None:
        names = [self.prefix + name for name in channels]
        self.subscription = self.proxy.subscribe(*names, prefix=[self.prefix + one for one in prefixes])
        if isinstance(self.client, aio.Client):
            await self.subscription.__aenter__()

    async def receive(self, wait: float = 5) -> Any:
        message = await got(self.subscription.receive(wait))
        if message is None:
            return None
        return [message.channel[len(self.prefix) :], message.value, message.missed]

    async def close(self) -> None:
        await got(self.subscription.close())


OF_THE_CONDUCTOR = {"actor", "do", "start", "join", "cancel", "die", "expect", "error", "within", "save", "above"}


class ThreadActor:
    """An actor that is a thread, or under gevent a greenlet."""

    def __init__(self, url: str, password: str, prefix: str) -> None:
        self._dead = threading.Event()
        self.doer = Doer(cyberdb_fast.connect(url, password=password, max_connections=3), prefix, self._dead.wait)
        self._steps: queue.Queue[Any] = queue.Queue()
        self._results: queue.Queue[Any] = queue.Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.greenlet = gevent_current()
        while True:
            try:
                step = self._steps.get()
                if step is None:
                    return
                self._results.put(drive(self.doer.do(*step)))
            except Interrupted:
                self._results.put(None)

    def start(self, step: Dict[str, Any], name: str) -> None:
        self._steps.put((step, name))

    def join(self) -> Any:
        return self._results.get(timeout=LATE)

    def cancel(self) -> None:
        if self.greenlet is not None:
            import gevent

            gevent.kill(self.greenlet, Interrupted)
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(Interrupted)
            )
        self.join()

    def die(self) -> None:
        self.doer.client.close()
        self.end()

    def end(self) -> None:
        self._dead.set()
        self._steps.put(None)
        self._thread.join(LATE)
        self.doer.client.close()
        assert not self._thread.is_alive()


def gevent_current() -> Any:
    if "gevent" not in sys.modules:
        return None
    import gevent

    return gevent.getcurrent()


class TaskActor:
    """An actor that is a task."""

    def __init__(self, url: str, password: str, prefix: str) -> None:
        self._steps: asyncio.Queue[Any] = asyncio.Queue()
        self._results: asyncio.Queue[Any] = asyncio.Queue()
        self._task = asyncio.ensure_future(self._run(url, password, prefix))

    async def _run(self, url: str, password: str, prefix: str) -> None:
        self.doer = Doer(await aio.connect(url, password=password), prefix, asyncio.sleep)
        while True:
            try:
                step = await self._steps.get()
                if step is None:
                    return
                self._results.put_nowait(await self.doer.do(*step))
            except asyncio.CancelledError:
                if hasattr(self._task, "uncancel"):
                    self._task.uncancel()
                self._results.put_nowait(None)

    def start(self, step: Dict[str, Any], name: str) -> None:
        self._steps.put_nowait((step, name))

    def join(self) -> Any:
        return asyncio.wait_for(self._results.get(), LATE)

    async def cancel(self) -> None:
        self._task.cancel()
        await self.join()

    async def die(self) -> None:
        await self.doer.client.close()
        self._steps.put_nowait(None)
        self._task.cancel()
        await asyncio.wait([self._task], timeout=LATE)

    async def end(self) -> None:
        self._steps.put_nowait(None)
        await asyncio.wait([self._task], timeout=LATE)
        await self.doer.client.close()
        assert self._task.done()


CLIENTS: Dict[str, Any] = {}


class ForkActor:
    """An actor that is a forked process. All use the client that their parent has made and used."""

    def __init__(self, url: str, password: str, prefix: str) -> None:
        if url not in CLIENTS:
            CLIENTS[url] = cyberdb_fast.connect(url, password=password)
        client = CLIENTS[url]
        with client.get_proxy() as proxy:
            assert not proxy.lock(f"{prefix}of the parent").locked()
            with proxy.subscribe(f"{prefix}of the parent"):
                pass
        self._pipe, theirs = multiprocessing.get_context("fork").Pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                self._run(theirs, client, prefix)
            finally:
                os._exit(1)
        theirs.close()
        self._dead = False

    def _run(self, pipe: Any, client: Any, prefix: str) -> None:
        self._pipe.close()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job of a shell ignores it
        doer = Doer(client, prefix, time.sleep)
        while True:
            try:
                step = pipe.recv()
                if step is None:
                    os._exit(0)
                pipe.send(drive(doer.do(*step)))
            except KeyboardInterrupt:
                pipe.send(None)
            except EOFError:
                os._exit(0)

    def start(self, step: Dict[str, Any], name: str) -> None:
        self._pipe.send((step, name))

    def join(self) -> Any:
        assert self._pipe.poll(LATE)
        return self._pipe.recv()

    def cancel(self) -> None:
        os.kill(self._pid, signal.SIGINT)
        self.join()

    def die(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._pipe.close()
        self._dead = True

    def end(self) -> None:
        if not self._dead:
            self._pipe.send(None)
            assert os.waitpid(self._pid, 0)[1] == 0
            self._pipe.close()


WORLDS: Dict[str, Any] = {"threads": ThreadActor, "gevent": ThreadActor, "asyncio": TaskActor, "forks": ForkActor}


class Conductor:
    """Plays one scenario."""

    def __init__(self, make: Callable[[str], Any], proxy: Any, prefix: str, nap: Callable[[float], Any]) -> None:
        self._make, self._proxy, self._prefix, self._nap = make, proxy, prefix, nap
        self._actors: Dict[str, Any] = {}
        self._dead: List[str] = []
        self._begun: Dict[str, Dict[str, Any]] = {}
        self._saved: Dict[str, Any] = {}

    async def play(self, scenario: Dict[str, Any]) -> None:
        for name, table in scenario.get("tables", {}).items():
            await self._create(self._prefix + name, dict(table))
        try:
            for number, step in enumerate(scenario["steps"], 1):
                try:
                    await self._step(step)
                except BaseException as e:
                    raise AssertionError(f"step {number}, {json.dumps(step)}: {type(e).__name__}: {e}") from e
        finally:
            for name, actor in self._actors.items():
                if name not in self._dead:
                    await got(actor.end())
        await self._until(waiting=0)

    async def _create(self, name: str, table: Dict[str, Any]) -> None:
        if table.pop("kind") == "dict":
            await got(self._proxy.create_cyberdict(name, **table))
            return
        if "dead_letter" in table:
            table["dead_letter"] = self._prefix + table["dead_letter"]
        await got(self._proxy.create_cyberlist(name, **table))

    async def _step(self, step: Dict[str, Any]) -> None:
        if "sleep" in step:
            await got(self._nap(step["sleep"]))
        elif "until" in step:
            await self._until(**step["until"])
        else:
            await self._act(step, step["actor"])

    async def _act(self, step: Dict[str, Any], name: str) -> None:
        if name not in self._actors:
            self._actors[name] = self._make(self._prefix)
        actor = self._actors[name]
        if "start" in step:
            actor.start(step, step["start"])
        elif "do" in step:
            actor.start(step, step["do"])
            self._check(step, await got(actor.join()))
        elif "join" in step:
            self._check(step, await got(actor.join()))
        elif "cancel" in step:
            await got(actor.cancel())
        else:
            assert step["die"]
            await got(actor.die())
            self._dead.append(name)

    def _check(self, step: Dict[str, Any], outcome: Any) -> None:
        result, error, text, took = outcome
        if "error" in step:
            assert step["error"] in error, f"{result!r} {text}"
            return
        assert not error, text
        if "expect" in step:
            assert json.loads(json.dumps(result)) == step["expect"], f"got {result!r}"
        if "above" in step:
            assert result is not None
            assert result > self._saved[step["above"]], f"got {result!r}"
        if "save" in step:
            self._saved[step["save"]] = result
        if "within" in step:
            least, most = step["within"]
            assert least <= took <= 2 * most, f"it took {took} s"

    async def _until(self, waiting: int) -> None:
        deadline = time.monotonic() + 10
        while True:
            there = (await got(self._proxy.info()))["waiting_requests"]
            if there == waiting:
                return
            assert time.monotonic() < deadline, f"{there} requests wait"
            await got(self._nap(0.01))


async def play_all(world: str, url: str, password: str, names: List[str]) -> None:
    """Plays all scenarios, or those of these names."""
    of_asyncio = world == "asyncio"
    client: Any = await got((aio if of_asyncio else cyberdb_fast).connect(url, password=password))
    proxy = client.get_proxy()
    await got(proxy.connect())
    nap: Any = asyncio.sleep if of_asyncio else time.sleep
    for number, scenario in enumerate(SCENARIOS):
        if names and scenario["name"] not in names:
            continue
        wrong = None
        try:
            conductor = Conductor(lambda prefix: WORLDS[world](url, password, prefix), proxy, f"{number} ", nap)
            await conductor.play(scenario)
        except Exception as e:
            wrong = f"{type(e).__name__}: {e}"
        print(json.dumps([scenario["name"], wrong]), flush=True)
    await got(client.close())
    if of_asyncio:
        await asyncio.sleep(0.1)
        left: Any = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    else:
        for other in CLIENTS.values():
            other.close()
        time.sleep(0.5)
        left = [thread for thread in threading.enumerate() if "cyberdb" in thread.name]
    print(json.dumps(["nothing is left", repr(left) if left else None]), flush=True)


if __name__ == "__main__":
    _, the_world, the_url, the_password, *the_names = sys.argv
    story = play_all(the_world, the_url, the_password, the_names)
    if the_world == "asyncio":
        asyncio.run(story)
    else:
        drive(story)
