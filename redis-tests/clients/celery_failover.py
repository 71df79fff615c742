#!/usr/bin/env python3
"""Celery through Sentinel, its primary killed while workers hold tasks with a countdown.

Tasks that a worker holds are unacknowledged in the broker, from where Kombu gives them out again. Results of before the failover are read after it, revoked tasks stay revoked, and a tally of the
application's shows every acknowledged task run, or in the broker still.

    redis-tests/clients/celery_failover.py --binary target/release/lockstep-server
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from celery import Celery
from celery.exceptions import TaskRevokedError
from checks import Checks, follow_failures
from watched import Watched

SENTINELS = ";".join(f"sentinel://127.0.0.1:{port}" for port in os.environ.get("LOCKSTEP_SENTINELS", "0").split(","))
COUNTDOWN, VISIBILITY = 5, 6

app = Celery("celery_failover", broker=SENTINELS, backend=SENTINELS)
app.conf.update(
    task_acks_late=True, task_default_queue="mail", broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None, worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_transport_options={"master_name": Watched.NAME, "visibility_timeout": VISIBILITY, "socket_timeout": 10},
    result_backend_transport_options={"master_name": Watched.NAME, "retry_policy": {
        "max_retries": 100, "interval_start": 0, "interval_step": 0.05, "interval_max": 0.2}},
    result_expires=600,
)


@app.task
def note(number: int, not_before: float) -> int:
    with open(os.environ["LOCKSTEP_NOTES"], "a") as notes:
        notes.write(f"{number} {time.time() - not_before:.3f}\n")
    return number


class Worker:
    """A worker process that remembers what was revoked, as `--statedb` has it."""

    def __init__(self, environment: dict[str, str], folder: Path, log):
        self.environment, self.log, self.state = {**os.environ, **environment}, log, folder / "state"
        self.environment["LOCKSTEP_NOTES"] = str(folder / "notes")
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "celery", "-A", "celery_failover", "worker", "--concurrency", "2", "--pool", "threads",
                   "--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--statedb", str(self.state)]
        self.process = subprocess.Popen(command, cwd=Path(__file__).resolve().parent, env=self.environment,
                                        stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()


class Sender:
    """Sends tasks and keeps what was acknowledged."""

    def __init__(self):
        self.sent: dict[int, object] = {}

    def send(self, count: int, countdown: float = 0) -> list:
        results = []
        for _ in range(count):
            number = len(self.sent)
            due = time.time() + countdown
            # Sent again after an unknown outcome, a task may run twice: the notes may have it twice.
            result = follow_failures(lambda n=number, t=due: note.apply_async((n, t), countdown=countdown, retry=False))
            self.sent[number] = result
            results.append(result)
        return results


def read(folder: Path) -> list[tuple[int, float]]:
    lines = (folder / "notes").read_text().splitlines()
    return [(int(number), float(late)) for number, late in map(str.split, lines)]


def unacknowledged(client) -> set[int]:
    """The numbers of the tasks that the broker keeps for a worker that has them."""
    held = (json.loads(entry)[0]["headers"] for entry in client.hvals("unacked"))
    return {int(headers["argsrepr"].strip("(").split(",")[0]) for headers in held if headers["task"].endswith("note")}


def run(checks: Checks, group: Watched, folder: Path, worker: Worker) -> None:
    def ran() -> set[int]:
        return {number for number, _ in read(folder)}

    sender = Sender()
    plain = sender.send(20)
    checks.soon("tasks run through Sentinel", lambda: len(ran()) == 20)
    held = sender.send(20, COUNTDOWN)
    revoked = note.apply_async((-1, 0), countdown=COUNTDOWN)
    client = group.group.nodes[0].client()
    checks.soon("the worker holds the tasks with a countdown", lambda: client.zcard("unacked_index") == 21)
    revoked.revoke()
    checks.that("the worker answers a broadcast", bool(app.control.inspect(timeout=1).ping()))
    checks.equal("none of them has run", ran() & set(range(20, 40)), set())
    group.fail_over()
    later = sender.send(20)
    later += sender.send(5, 1)
    # It reconnects, but does not always take tasks again: it is restarted after a failover, by whoever runs it.
    worker.restart()
    # Kombu takes a task with BRPOP and only then writes it down: the one on its way may be lost, on any server.
    # What the worker held comes again after `visibility_timeout`, but ten tasks at a time and once in 100 seconds.
    def missing() -> set[int]:
        return sender.sent.keys() - ran() - unacknowledged(client)

    client = group.group.nodes[1].client()
    checks.soon("the tasks of after are run, but for one on its way", lambda: len(set(range(40, 65)) - ran()) <= 1, 40)
    checks.soon("every acknowledged task is run or held for the next worker, but for one", lambda: len(missing()) <= 1)
    checks.equal("and so are all that the worker held", set(range(20, 40)) & missing(), set())
    checks.equal("none too early", [(number, late) for number, late in read(folder) if late < -0.1], [])
    checks.equal("nothing ran that was not sent, or that was revoked", ran() - sender.sent.keys(), set())
    checks.equal("results of before are there", [follow_failures(lambda r=r: r.get(timeout=10)) for r in plain], list(range(20)))
    done = ran()
    checks.soon("as are those of tasks that were held, and of after", lambda: all(
        result.state == "SUCCESS" and result.result == number for number, result in sender.sent.items() if number in done))
    try:
        revoked.get(timeout=10)
        checks.that("the revoked task is told of as such", False)
    except TaskRevokedError:
        checks.that("the revoked task is told of as such", True)
    checks.equal("both kinds were sent", (len(held), len(later)), (20, 25))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    options = parser.parse_args()
    checks, group = Checks(), Watched(options.binary)
    try:
        with tempfile.TemporaryDirectory() as name, open(Path(name, "log"), "w+") as log:
            Path(name, "notes").touch()
            url = ";".join(f"sentinel://127.0.0.1:{port}" for port in group.ports)
            app.conf.update(broker_url=url, result_backend=url)
            worker = Worker(group.environment(), Path(name), log)
            try:
                run(checks, group, Path(name), worker)
            finally:
                worker.stop()
                if checks.failed:
                    log.seek(0)
                    print(log.read()[-3000:])
        checks.equal("the nodes hold the same data", len(group.digests()), 1)
    finally:
        group.remove()
    # Without a server, Celery's results take a minute of reconnecting to be forgotten.
    status = checks.end()
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
