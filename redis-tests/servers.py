"""Server processes for a run: started like `redis-server`, in a folder of their own, gone when the run ends."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from resp import Connection

PORTS = range(21000, 22000)
START_TIMEOUT_S = 15.0


class NotStarted(Exception):
    """The server exited or did not answer; the text ends with the tail of its log."""


class Server:
    """A server to compare: `name` in stories, address, and the process when this run started it."""

    def __init__(self, name: str, host: str, port: int, process: subprocess.Popen | None = None, folder: Path | None = None):
        self.name, self.host, self.port = name, host, port
        self.process, self.folder = process, folder

    def connect(self, timeout_s: float = 5.0) -> Connection:
        return Connection(self.host, self.port, timeout_s)

    def alive(self) -> bool:
        return self.process is None or self.process.poll() is None

    def log_tail(self, lines: int = 12) -> str:
        if self.folder is None:
            return ""
        log = self.folder / "log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

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
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=folder)
    server = Server(name, "127.0.0.1", port, process, folder)
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
            return server
        time.sleep(0.02)
    text = f"{name}: {' '.join(command)}\ndid not answer PING (exit code {process.poll()})\n{server.log_tail()}"
    server.stop()
    raise NotStarted(text)
