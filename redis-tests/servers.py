"""Server processes for a run: started like `redis-server`, in a folder of their own, gone when the run ends."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from resp import Connection, Reply

PORTS = range(21000, 22000)
START_TIMEOUT_S = 15.0


class NotStarted(Exception):
    """The server exited or did not answer; the text ends with the tail of its log."""


class Server:
    """A server to compare: `name` in stories, address, and the process when this run started it."""

    def __init__(self, name: str, host: str, port: int, process: subprocess.Popen | None = None, folder: Path | None = None):
        self.name, self.host, self.port = name, host, port
        self.process, self.folder = process, folder
        self.control: Connection | None = None  # the run's own connection, made when it is needed
        self.command: list[str] = []
        self.touched: list[tuple[str, Reply]] = []  # configuration a case changes, as it was before

    def connect(self, timeout_s: float = 5.0) -> Connection:
        return Connection(self.host, self.port, timeout_s)

    def alive(self) -> bool:
        return self.process is None or self.process.poll() is None

    def log_tail(self, lines: int = 12) -> str:
        if self.folder is None:
            return ""
        log = self.folder / "log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

    def restart(self) -> None:
        """After a crash: the same command again. Raises `NotStarted`, also for a server this run did not start."""
        if self.process is None:
            raise NotStarted(f"{self.name} at {self.host}:{self.port} does not answer any more")
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.control = None
        _launch(self)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    """A port of our range on which nothing listens. Two runs at once may race; the loser fails to start and says so."""
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise NotStarted(f"no free port in {PORTS.start}..{PORTS.stop}")


def start(name: str, binary: Path | str, options: list[str] | None = None) -> Server:
    """Start `binary` on a free port with no persistence and wait until it answers PING."""
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix=f"lockstep-{name}-"))
    command = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "",
               "--appendonly", "no", "--enable-debug-command", "yes", *(options or [])]
    server = Server(name, "127.0.0.1", port, None, folder)
    server.command = command
    try:
        _launch(server)
    except NotStarted:
        server.stop()
        raise
    return server


def _launch(server: Server) -> None:
    with open(server.folder / "log", "ab") as log:
        process = subprocess.Popen(
            server.command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=server.folder
        )
    server.process = process
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection = server.connect(1.0)
        except OSError:
            time.sleep(0.02)
            continue
        reply = connection.call("PING")
        connection.close()
        if reply.text == b"PONG":
            return
        time.sleep(0.02)
    raise NotStarted(
        f"{server.name}: {' '.join(server.command)}\ndid not answer PING (exit code {process.poll()})\n{server.log_tail()}"
    )
