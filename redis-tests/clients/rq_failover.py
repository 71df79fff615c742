#!/usr/bin/env python3
"""RQ across the death of the primary, to the job: every job ends in exactly one place, and that is where it belongs.

Jobs have ids of the application's and are added with `unique`, so that adding one again after an unknown outcome is
harmless. Each worker serves one queue: RQ then takes jobs with a move to another list, and none is in the air. A job may
be run twice only if a worker held it when the primary died.

    redis-tests/clients/rq_failover.py --binary target/release/lockstep-server
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import redis
from checks import Checks, follow_failures, group_of_three
from rq import Queue, Retry, Worker, get_current_job
from rq.exceptions import DuplicateJobError
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job
from rq.registry import (DeferredJobRegistry, FailedJobRegistry, FinishedJobRegistry, ReadyJobRegistry,
                         ScheduledJobRegistry, StartedJobRegistry)

WORKERS = 2


def note(name: str) -> str:
    """The application's own record: what ran, in a file that no server knows of."""
    with open(os.environ["LOCKSTEP_NOTES"], "a") as notes:
        notes.write(f"{name}\n")
    return name


def note_and_fail_once(name: str) -> str:
    note(name)
    if get_current_job().retries_left == 3:
        raise ValueError("not yet")
    return name


def work(port: int) -> None:
    connection = redis.Redis(port=port, socket_timeout=10)
    Worker(["mail"], connection=connection, default_worker_ttl=10, job_monitoring_interval=1).work(
        with_scheduler=True, logging_level="WARNING")


class Supervisor:
    """Keeps one worker running, as systemd does."""

    def __init__(self, port: int, notes: Path, log):
        self.environment = {**os.environ, "LOCKSTEP_NOTES": str(notes), "PYTHONPATH": str(Path(__file__).resolve().parent)}
        self.port, self.log = port, log
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", f"import rq_failover; rq_failover.work({self.port})"],
                                        env=self.environment, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def keep(self) -> None:
        if self.process.poll() is not None:
            self.start()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Sender(threading.Thread):
    """Adds jobs of each kind in turn until told to stop, and keeps how often each must run."""

    def __init__(self, connection: redis.Redis):
        super().__init__(daemon=True)
        self.queue = Queue("mail", connection=connection)
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self.expected: dict[str, int] = {}
        # Added again after an unknown outcome, without `unique`.
        self.again: set[str] = set()

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self.one(len(self.expected))
                time.sleep(0.02)
        except BaseException as failure:  # noqa: BLE001 (told at the end)
            self.failure = failure

    def one(self, number: int) -> None:
        name, kind = f"job-{number}", ("failing", "scheduled", "plain", "dependent")[number % 4]
        options = {"job_id": name, "retry": Retry(max=3), "result_ttl": 600}
        tries = 0

        def adding() -> None:
            nonlocal tries
            tries += 1
            try:
                match kind:
                    case "scheduled":
                        self.queue.enqueue_in(timedelta(seconds=1), note, name, **options)
                    case "dependent":
                        # RQ has no `unique` for these.
                        before = Job(f"job-{number - 1}", connection=self.queue.connection)
                        self.queue.enqueue(note, name, depends_on=before, **options)
                    case _:
                        self.queue.enqueue(note_and_fail_once if kind == "failing" else note, name, unique=True, **options)
            except DuplicateJobError:
                # An earlier try has done it, although nobody was told.
                pass

        follow_failures(adding)
        if tries > 1 and kind in ("scheduled", "dependent"):
            self.again.add(name)
        self.expected[name] = 2 if kind == "failing" else 1


def finished(queue: Queue) -> list[str]:
    return FinishedJobRegistry(queue=queue).get_job_ids(cleanup=False)


def settle(queue: Queue) -> list[str]:
    """What RQ's maintenance does after minutes with jobs that their worker has lost, now."""
    # Their dependencies are met, and they were to be queued next. RQ 3.0 leaves some there without any failure.
    ReadyJobRegistry(queue=queue).cleanup()
    begun = StartedJobRegistry(queue=queue)
    lost = begun.get_job_ids(cleanup=False)
    begun.cleanup(timestamp=time.time() + 3600)
    taken = IntermediateQueue(queue.key, queue.connection)
    for name in set(taken.get_job_ids()) - set(lost):
        queue.push_job_id(name)
        taken.remove(name)
        lost.append(name)
    return lost


def wait_for_all(checks: Checks, sender: Sender, workers: list[Supervisor]) -> None:
    lost, count, since = [], 0, time.monotonic()

    def all_finished() -> bool:
        nonlocal count, since
        for worker in workers:
            worker.keep()
        found = follow_failures(lambda: finished(sender.queue))
        if len(found) > count:
            count, since = len(found), time.monotonic()
        elif time.monotonic() > since + 3:
            lost.extend(settle(sender.queue))
            since = time.monotonic()
        return set(sender.expected) <= set(found)

    checks.soon("every acknowledged job is finished", all_finished, 40)
    checks.that(f"no more were left over ({lost}) than the workers held", len(lost) <= WORKERS)


def tally(checks: Checks, sender: Sender, notes: Path) -> None:
    queue, expected = sender.queue, sender.expected
    done = Counter(finished(queue))
    checks.equal("each once, and nothing else is", done - Counter(expected.keys()), Counter())
    left = {kind.__name__: kind(queue=queue).get_job_ids(cleanup=False) for kind in
            (DeferredJobRegistry, FailedJobRegistry, ReadyJobRegistry, ScheduledJobRegistry, StartedJobRegistry)}
    checks.equal("nothing is left of any", [left, queue.job_ids], [dict.fromkeys(left, []), []])
    runs = Counter(notes.read_text().split())
    checks.equal("nothing ran that was not added", runs.keys() - expected.keys(), set())
    checks.equal("no job ran too seldom", [name for name, count in expected.items() if runs[name] < count], [])
    twice = {name for name, count in expected.items() if runs[name] > count} - sender.again
    checks.that(f"no more were run again ({twice}) than the workers held", len(twice) <= WORKERS)


def main() -> int:
    with group_of_three(__doc__) as (nodes, checks), tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "notes")
        notes.touch()
        with open(Path(folder, "log"), "w+") as log:
            workers = [Supervisor(nodes.address.port, notes, log) for _ in range(WORKERS)]
            sender = Sender(redis.Redis(port=nodes.address.port))
            try:
                sender.start()
                checks.soon("jobs are added and finished", lambda: len(finished(sender.queue)) > 15)
                before = len(sender.expected)
                nodes.fail_over()
                checks.soon("jobs are added after the primary died", lambda: len(sender.expected) > before + 30)
                sender.stop.set()
                sender.join(60)
                checks.equal("adding went on to the end", sender.failure, None)
                wait_for_all(checks, sender, workers)
                tally(checks, sender, notes)
            finally:
                for worker in workers:
                    worker.stop()
                if checks.failed:
                    log.seek(0)
                    print(log.read()[-1500:])
        checks.equal("all nodes hold the same data", len(nodes.digests()), 1)
        return checks.end()


if __name__ == "__main__":
    # Functions are found by workers under the module's name, not as part of the program.
    import rq_failover

    sys.exit(rq_failover.main())
