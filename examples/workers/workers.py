"""A pool of workers: a job that fails is tried again, and set aside after 5 attempts.

    python workers.py                 # a server of its own, 4 workers, 20 jobs

Workers may be processes on any machine. A job is taken for a time; if its worker dies, it returns.
"""

import multiprocessing
import random

import cyberdb_fast as cyberdb

PASSWORD = "secret"


def work(job: int) -> None:
    """Sends a mail, say. One job is bad, and any may fail."""
    if job == 13 or random.random() < 0.2:
        raise ValueError(f"job {job} failed")


def worker(url: str) -> None:
    """Works until no job has come for 3 s."""
    with cyberdb.connect(url, password=PASSWORD).get_proxy() as proxy:
        jobs, done = proxy.get_cyberlist("jobs"), proxy.get_cyberdict("done")
        while (item := jobs.take(lease=30, wait=3)) is not None:
            try:
                work(item.value)
            except ValueError:
                jobs.nack(item, delay=0.1 * 2**item.deliveries)  # again, each time later
            else:
                done.increment(item.value)
                jobs.ack(item)  # LeaseExpired if it has taken longer than 30 s: another worker has it


if __name__ == "__main__":
    with cyberdb.Server() as server:
        server.start(port=0, password=PASSWORD)
        with cyberdb.connect(server.url, password=PASSWORD).get_proxy() as proxy:
            proxy.create_cyberdict("done")
            proxy.create_cyberlist("jobs", range(20), max_deliveries=5, dead_letter="failed jobs")
            pool = [multiprocessing.Process(target=worker, args=(server.url,)) for _ in range(4)]
            for one in pool:
                one.start()
            for one in pool:
                one.join()
            print("done:", len(proxy.get_cyberdict("done")), "failed:", proxy.get_cyberlist("failed jobs").copy())
