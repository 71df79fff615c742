"""The client libraries that the applications use, pinned, installed under the repository's ignored `.peers/`.

Python's go into the environment that `peers.py` makes, node's (`package.json` and its lock beside this file) into
`.peers/node`. A registry that is slow or away for a moment is asked again; one that stays away fails the run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent.parent / ".peers"
PYTHON = PEERS / "venv" / "bin" / "python"
NODE = PEERS / "node"

PYTHON_PACKAGES = ["redis==8.1.0", "celery==5.7.0", "kombu==5.7.0", "rq==3.0.0", "Django==5.2.19", "django-redis==7.0.0",
                   "pottery==3.0.1"]
TRIES = 4


class Missing(Exception):
    """Something is not there and cannot be had; the text is fit for a terminal."""


def persist(command: list[str], cwd: Path | None = None) -> None:
    """Runs an installer, again after a pause when it fails."""
    for attempt in range(1, TRIES + 1):
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
        if done.returncode == 0:
            return
        reason = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        print(f"{' '.join(command[:4])} failed ({attempt} of {TRIES}): {reason}", file=sys.stderr, flush=True)
        if attempt < TRIES:
            time.sleep(10 * attempt)
    raise Missing(f"could not install: {' '.join(command)}")


def install_python() -> None:
    probe = ("import sys; from importlib.metadata import version; "
             "sys.exit(any(version(p.split('==')[0]) != p.split('==')[1] for p in sys.argv[1:]))")
    if subprocess.run([PYTHON, "-c", probe, *PYTHON_PACKAGES], capture_output=True).returncode != 0:
        persist([str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "5",
                 "--timeout", "60", *PYTHON_PACKAGES])


def install_node() -> None:
    lock = (HERE / "package-lock.json").read_text()
    installed = NODE / "installed"
    if installed.exists() and installed.read_text() == lock:
        return
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Missing("node and npm are needed (on Debian: apt-get install nodejs npm)")
    NODE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, NODE / name)
    # Not `ci`: npm writes optional packages of other platforms without a version and then refuses its own file.
    persist([npm, "install", "--no-save", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund",
             "--loglevel=error", "--fetch-retries=5", "--fetch-timeout=120000"], cwd=NODE)
    installed.write_text(lock)


def main() -> int:
    try:
        install_python()
        install_node()
    except Missing as missing:
        print(f"redis-tests: {missing}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
