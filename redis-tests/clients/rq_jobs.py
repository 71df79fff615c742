#!/usr/bin/env python3
"""RQ: its worker is a process that forks one for each job, as `rq worker` is.

Results, failures, retries, dependencies, schedules and cancelled jobs; then the primary is killed while jobs are added
and worked on, and every job whose adding was acknowledged is run.

    redis-tests/clients/rq_jobs.py --binary target/release/lockstep-server
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from datetime import timedelta

import redis
from checks import Checks, follow_failures, group_of_three
from group import Group
from rq import Callback, Queue, Repeat, Retry, SimpleWorker, Worker, get_current_job
from rq.registry import DeferredJobRegistry, FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry


def add(left: int, right: int) -> int:
    return left + right


def total() -> int:
    return sum(job.return_value() for job in get_current_job().fetch_dependencies())


def stubborn() -> int:
    left = get_current_job().retries_left
    if left and left > 1:
        raise ValueError("not yet")
    return left or 0


def hopeless() -> None:
    raise ValueError("no hope")


def note(number: int) -> None:
    with open(os.environ["LOCKSTEP_NOTES"], "a") as notes:
        notes.write(f"{number}\n")


def told(job, connection, result, *_) -> None:
    connection.set(f"told:{job.id}", result)


def work(port: int) -> None:
    """The worker process. It ends when its connection breaks at the wrong moment; whoever runs it starts it again."""
    connection = redis.Redis(port=port, socket_timeout=10)
    kind = SimpleWorker if os.environ.get("LOCKSTEP_SIMPLE") else Worker
    kind(["high", "low"], connection=connection, default_worker_ttl=10, job_monitoring_interval=1).work(
        with_scheduler=True, logging_level="WARNING")


class Supervisor:
    """Keeps one worker running, as systemd does."""

    def __init__(self, port: int, notes: str, log):
        self.environment = {**os.environ, "LOCKSTEP_NOTES": notes, "PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}
        self.port, self.log = port, log
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", f"import rq_jobs; rq_jobs.work({self.port})"], env=self.environment,
                                        stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def keep(self) -> None:
        if self.process.poll() is not None:
            self.start()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()


def plain(checks: Checks, connection: redis.Redis) -> None:
    high, low = Queue("high", connection=connection), Queue("low", connection=connection)
    job = high.enqueue(add, 2, 3, on_success=Callback(told))
    checks.soon("a job is done", lambda: job.return_value() == 5)
    checks.soon("and its callback is called", lambda: connection.get(f"told:{job.id}") == b"5")
    checks.soon("it is among the finished", lambda: job.id in FinishedJobRegistry(queue=high))
    failed = low.enqueue(hopeless)
    checks.soon("a hopeless job fails", lambda: failed.is_failed)
    checks.soon("it is among the failed", lambda: failed.id in FailedJobRegistry(queue=low))
    checks.that("with its reason", "no hope" in failed.latest_result().exc_string)
    retried = high.enqueue(stubborn, retry=Retry(max=3))
    checks.soon("a job is retried", lambda: retried.return_value() == 1)
    parts = [low.enqueue(add, n, 1, job_timeout=30) for n in range(5)]
    whole = high.enqueue(total, depends_on=parts)
    checks.soon("a job runs after those it depends on", lambda: whole.return_value() == 15)
    checks.equal("and none is deferred any more", DeferredJobRegistry(queue=high).count, 0)
    started = time.monotonic()
    later = low.enqueue_in(timedelta(seconds=2), add, 4, 4)
    checks.that("a scheduled job waits", later.id in ScheduledJobRegistry(queue=low))
    cancelled = low.enqueue_in(timedelta(hours=1), add, 1, 1)
    cancelled.cancel()
    checks.that("a cancelled one is cancelled", cancelled.get_status() == "canceled")
    many = high.enqueue_many([Queue.prepare_data(add, (n, n), job_id=f"many-{n}") for n in range(20)])
    checks.soon("jobs added in one transaction are done", lambda: all(job.is_finished for job in many))
    repeated = high.enqueue(add, 0, 0, repeat=Repeat(times=1, interval=1))
    checks.soon("a scheduled job is done", lambda: later.return_value() == 8)
    checks.that("and not too early", time.monotonic() - started >= 0.9)
    checks.soon("a repeated one runs twice", lambda: len(repeated.results()) == 2)
    checks.equal("the worker is registered", Worker.count(connection=connection), 1)


def failure(checks: Checks, nodes: Group, connection: redis.Redis, worker: Supervisor, noted) -> None:
    queue, acknowledged = Queue("high", connection=connection), []

    def send(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            number = len(acknowledged)
            follow_failures(lambda number=number: queue.enqueue(note, number, retry=Retry(max=3)))
            acknowledged.append(number)
            time.sleep(0.05)

    send(0.5)
    before = len(acknowledged)
    nodes.fail_over()
    send(0.5)
    checks.that(f"jobs were added before ({before}) and after the primary died ({len(acknowledged)})",
                before > 2 and len(acknowledged) > before + 2)

    def all_noted() -> bool:
        worker.keep()
        return set(acknowledged) <= set(noted())

    checks.soon("every acknowledged job is run", all_noted, 60)
    checks.soon("results still come", lambda: follow_failures(lambda: queue.enqueue(add, 20, 3)).latest_result(timeout=20).return_value == 23)


def main() -> int:
    with group_of_three(__doc__) as (nodes, checks), tempfile.TemporaryDirectory() as folder:
        notes = os.path.join(folder, "notes")
        open(notes, "w").close()

        def noted() -> list[int]:
            with open(notes) as file:
                return [int(line) for line in file]

        connection = redis.Redis(port=nodes.address.port)
        with open(os.path.join(folder, "log"), "w+") as log:
            worker = Supervisor(nodes.address.port, notes, log)
            try:
                plain(checks, connection)
                failure(checks, nodes, connection, worker, noted)
            finally:
                worker.stop()
                if checks.failed:
                    log.seek(0)
                    print(log.read()[-4000:])
        checks.equal("all nodes hold the same data", len(nodes.digests()), 1)
        return checks.end()


if __name__ == "__main__":
    # Functions are found by workers under the module's name, not as part of the program.
    import rq_jobs

    sys.exit(rq_jobs.main())
