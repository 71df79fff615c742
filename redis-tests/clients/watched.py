"""A group that stock Sentinels watch over, for applications that ask Sentinel where the primary is."""

from __future__ import annotations

import sys
from pathlib import Path

import group

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "sentinel"))

import nodes  # noqa: E402


class Watched:
    """A primary, two replicas and three Sentinels of different make (see `sentinel/nodes.py`)."""

    NAME = nodes.Group.NAME

    def __init__(self, binary: str):
        # The primary's death is no false alarm here, so that it may be noticed soon.
        self.group = nodes.Group(binary, down_after_ms=1500, more=("sync-timeout 15000",))
        self.ports = [sentinel.port for sentinel in self.group.sentinels]
        self.group.wait_until_watched()

    def environment(self) -> dict[str, str]:
        return {"LOCKSTEP_SENTINELS": ",".join(map(str, self.ports))}

    def fail_over(self) -> None:
        """Kills the primary; returns when the Sentinels have another and it takes writes."""
        first, second, _ = self.group.nodes
        first.kill()
        self.group.wait_for_primary(second)
        self.group.wait_in_sync(second, 1)

    def digests(self) -> set[str]:
        return group.digests(self.group.nodes[1:])

    def remove(self) -> None:
        self.group.remove()
