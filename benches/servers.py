"""Starts and stops servers for the comparison, and reads what they cost from /proc."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Failed(Exception):
    """A row cannot be measured; the text says why."""


@dataclass
class Kind:
    """A server that takes part: how to start it."""

    name: str
    binary: Path
    ours: bool = False
    extra: list[str] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running server process with a folder of its own."""

    def __init__(self, kind: Kind, *options: str):
        self.kind, self.port = kind, free_port()
        self.dir = Path(tempfile.mkdtemp(prefix=f"bench-{kind.name}-"))
        command = [str(kind.binary), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.dir),
                   "--save", "", *kind.extra, *options]
        self.log = open(self.dir / "log", "wb")
        self.arguments = command
        self._start(20)

    def _start(self, patience: float) -> None:
        kind = self.kind
        self.process = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + patience
        while True:
            if self.process.poll() is not None:
                said = self.log_tail()
                self.stop()
                raise Failed(f"{kind.name} did not start: {said}")
            try:
                if self.command("PING") == "PONG":
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                said = self.log_tail()
                self.stop()
                raise Failed(f"{kind.name} does not answer: {said}")
            time.sleep(0.05)

    def log_tail(self) -> str:
        return (self.dir / "log").read_text(errors="replace")[-600:]

    def command(self, *words: str) -> str:
        """One request; its reply as text (bulk and simple strings, integers, errors)."""
        request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words)
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as link:
            link.sendall(request)
            stream = link.makefile("rb")
            line = stream.readline().rstrip(b"\r\n").decode()
            if line.startswith("$"):
                return "" if line == "$-1" else stream.read(int(line[1:])).decode(errors="replace")
            return line[1:] if line[:1] in "+:" else line

    def info(self, section: str) -> dict[str, str]:
        pairs = (line.split(":", 1) for line in self.command("INFO", section).splitlines() if ":" in line)
        return {name: value.strip() for name, value in pairs}

    def restart(self) -> float:
        """Kills the server and starts it again; seconds until it has loaded its files."""
        self.process.kill()
        self.process.wait()
        begun = time.monotonic()
        self._start(300)
        return time.monotonic() - begun

    def cpu_seconds(self, children: bool = False) -> float:
        """User and system time of all threads so far, and of the children that have ended."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(int(field) for field in fields[11 : 15 if children else 13]) / TICKS

    def rss_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def wait_for(what: str, condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"waited in vain: {what}")
        time.sleep(0.05)


class Pair:
    """A primary with one replica, optionally at a distance."""

    def __init__(self, kind: Kind, synchronous: bool = True, one_way_us: int = 0):
        self.parts: list = []
        try:
            options = ["--min-insync-replicas", "1"] if kind.ours and synchronous else []
            if kind.ours and not synchronous:
                options = ["--sync-ack", "async"]
            if not kind.ours:
                options = ["--repl-diskless-sync-delay", "0"]
            self.primary = self._add(Server(kind, *options))
            port = self.proxy_port = self.primary.port
            if one_way_us:
                port = self.proxy_port = free_port()
                proxy = [str(REPOSITORY / "target/release/lockstep"), "delay-proxy", "--listen", str(port),
                         "--to", f"127.0.0.1:{self.primary.port}", "--one-way-us", str(one_way_us)]
                self._add(Process(proxy))
                time.sleep(0.3)
            self.replica = self._add(Server(kind, "--replicaof", f"127.0.0.1 {port}" if kind.ours else "127.0.0.1",
                                            *([] if kind.ours else [str(port)])))
            wait_for("the replica to follow", lambda: self.replica.info("replication").get("master_link_status") == "up")
            if kind.ours and synchronous:
                wait_for("the replica to be in sync",
                         lambda: self.primary.info("replication").get("insync_replicas") == "1")
        except BaseException:
            self.stop()
            raise

    def _add(self, part):
        self.parts.append(part)
        return part

    def cpu_seconds(self) -> float:
        return self.primary.cpu_seconds() + self.replica.cpu_seconds()

    @property
    def port(self) -> int:
        return self.primary.port

    def stop(self) -> None:
        for part in reversed(self.parts):
            part.stop()


class Process:
    """A helper process."""

    def __init__(self, command: list[str]):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def installed():
    """The module that installs the peers, of the compatibility room."""
    sys.path.insert(0, str(REPOSITORY / "redis-tests"))
    import peers as module  # noqa: PLC0415 (the path is set just above)

    return module


def install() -> None:
    module = installed()
    try:
        module.install()
    except module.Missing as error:
        raise Failed(str(error)) from error


def peers(threads: int) -> list[Kind]:
    """Redis and Valkey with so many I/O threads."""
    found = installed().binaries()
    extra = ["--appendonly", "no", "--io-threads", str(threads)]
    suffix = "" if threads == 1 else f" io{threads}"
    return [Kind(f"Redis 8.2.3{suffix}", found["redis"], extra=extra),
            Kind(f"Valkey 9.1.2{suffix}", found["valkey"], extra=extra)]
