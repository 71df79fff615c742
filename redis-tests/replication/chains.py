#!/usr/bin/env python3
"""Chains of servers of several makes, promotions along them, passwords, and copies that break off.

    redis-tests/run-replication --binary target/release/lockstep-server
"""

from __future__ import annotations

import socket
import sys
import threading

import links
from links import KNOW_FIELD_EXPIRY, Broken, Writer, call, info, until


def main() -> int:
    binaries = links.binaries()
    cases = []
    for top, bottom in (("redis", "valkey"), ("valkey", "redis"), ("redis7", "redis7")):
        if top in binaries and bottom in binaries:
            cases.append((f"{top}, then lockstep, then {bottom}", lambda t=top, b=bottom: chain(binaries, t, b)))
    for name in binaries:
        if name != "lockstep":
            cases.append((f"{name} behind a password", lambda n=name: passwords(binaries, n)))
    if "redis" in binaries:
        for primary, replica in (("redis", "lockstep"), ("lockstep", "redis")):
            cases.append((f"{replica} killed and started again beneath {primary}", lambda p=primary, r=replica: restarted(binaries, p, r)))
    cases.append(("a copy that breaks off", lambda: broken_copy(binaries)))
    cases.append(("a command that cannot be applied", lambda: unknown_command(binaries)))
    cases.append(("a transaction that fails in its middle", lambda: half_a_transaction(binaries)))
    return links.run(cases)


def chain(binaries: dict, top_name: str, bottom_name: str) -> None:
    top = links.start(top_name, binaries[top_name])
    middle = links.start("lockstep", binaries["lockstep"])
    bottom = links.start(bottom_name, binaries[bottom_name])
    try:
        expiring = {top_name, bottom_name} <= KNOW_FIELD_EXPIRY
        with Writer(top, expiring) as writer:
            links.follow(middle, top)
            links.follow(bottom, middle)
            until("some writes are done", lambda: writer.acknowledged > 200)
            for upper in (top, middle):
                call(upper.connect(10), "CLIENT", "KILL", "TYPE", "replica")
            until("more writes are done", lambda: writer.acknowledged > 400)
        links.same(top, middle)
        links.same(middle, bottom)
        # The middle one is promoted, then the last: each time the others go on where they were.
        for new, others in ((middle, (bottom, top)), (bottom, (middle, top))):
            call(new.connect(10), "REPLICAOF", "NO", "ONE")
            for other in others:
                if other is not bottom:
                    upper = new if other is middle or new is middle else middle
                    call(other.connect(10), "REPLICAOF", upper.host, upper.port)
            call(new.connect(10), "SET", "promoted", new.name)
            for other in others:
                links.same(new, other)
        copies = [info(server.connect(10), "stats")["sync_full"] for server in (top, middle, bottom)]
        if copies != ["1", "1", "0"]:
            raise Broken(f"full copies made by top, middle, bottom: {copies}")
    finally:
        for server in (bottom, middle, top):
            server.stop()


def passwords(binaries: dict, name: str) -> None:
    peer = links.start(name, binaries[name])
    ours = links.start("lockstep", binaries["lockstep"])
    try:
        call(peer.connect(10), "ACL", "SETUSER", "copier", "on", ">other", "+psync", "+replconf", "+ping")
        call(ours.connect(10), "CONFIG", "SET", "masteruser", "copier")
        call(ours.connect(10), "CONFIG", "SET", "masterauth", "wrong")
        call(peer.connect(10), "SET", "k", "v")
        call(ours.connect(10), "REPLICAOF", peer.host, peer.port)
        until("the refusal is told", lambda: "WRONGPASS" in ours.log_tail(50))
        call(ours.connect(10), "CONFIG", "SET", "masterauth", "other")
        links.same(peer, ours)
        call(ours.connect(10), "REPLICAOF", "NO", "ONE")
        # And the other way round.
        call(ours.connect(10), "CONFIG", "SET", "requirepass", "secret")
        control = ours.connect(10)
        call(control, "AUTH", "secret")
        call(peer.connect(10), "CONFIG", "SET", "masterauth", "secret")
        links.follow(peer, ours)
        call(control, "SET", "k", "w")
        until("the write has arrived", lambda: call(peer.connect(10), "GET", "k").text == b"w")
    finally:
        ours.stop()
        peer.stop()


def restarted(binaries: dict, upper: str, lower: str) -> None:
    """A replica that starts from its files goes on where they end."""
    primary = links.start(upper, binaries[upper])
    # Redis keeps its place in the snapshot of an orderly end, Lockstep in its append-only file.
    files = ["--appendonly", "yes", "--appendfsync", "always"] if lower == "lockstep" else ["--save", "1000", "1000000"]
    replica = links.start(lower, binaries[lower], *files, "--replicaof", primary.host, str(primary.port))
    try:
        until("the replica follows", lambda: links.is_linked(replica))
        until("the file is made", lambda: "aof_rewrite_in_progress:0" in call(replica.connect(10), "INFO", "persistence").text.decode())
        with Writer(primary, True) as writer:
            until("some writes are done", lambda: writer.acknowledged > 200)
        links.caught_up(replica, primary)
        replica.process.kill() if lower == "lockstep" else replica.process.terminate()
        replica.process.wait(20)
        for n in range(100):
            call(primary.connect(10), "SET", f"missed:{n}", n)
        replica.restart()
        until("the replica follows again", lambda: links.is_linked(replica))
        links.same(primary, replica)
        if info(primary.connect(10), "stats")["sync_full"] != "1":
            raise Broken("it needed another full copy")
    finally:
        replica.stop()
        primary.stop()


def broken_copy(binaries: dict) -> None:
    """What the replica had is there and served until a whole copy has come."""
    ours = links.start("lockstep", binaries["lockstep"])
    listener = socket.create_server(("127.0.0.1", 0))
    tries = []
    thread = threading.Thread(target=half_a_copy, args=(listener, tries))
    thread.start()
    try:
        links.fill(ours)
        before = links.contents(ours)
        call(ours.connect(10), "REPLICAOF", "127.0.0.1", listener.getsockname()[1])
        until("half a copy has come three times", lambda: len(tries) >= 3)
        if links.contents(ours) != before:
            raise Broken("the data changed")
        call(ours.connect(10), "REPLICAOF", "NO", "ONE")
        call(ours.connect(10), "SET", "goes", "on")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
        ours.stop()


def unknown_command(binaries: dict) -> None:
    """It is not skipped: the link ends, and with propagation-error-behavior the server."""
    ours = links.start("lockstep", binaries["lockstep"])
    listener = socket.create_server(("127.0.0.1", 0))
    tries = []
    commands = (b"INCR before", b"NOSUCH thing", b"SET after 1")
    thread = threading.Thread(target=strange_primary, args=(listener, tries, commands))
    thread.start()
    try:
        control = ours.connect(10)
        call(control, "REPLICAOF", "127.0.0.1", listener.getsockname()[1])
        until("the log names the command", lambda: "NOSUCH" in ours.log_tail(50))
        until("it was tried again", lambda: len(tries) >= 4)
        if (found := [call(control, "GET", key).text for key in ("before", "after")]) != [b"1", None]:
            raise Broken(f"the data is not that before the command: {found}")
        call(control, "CONFIG", "SET", "propagation-error-behavior", "panic")
        until("the server has ended", lambda: ours.process.poll() is not None)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
        ours.stop()


def half_a_transaction(binaries: dict) -> None:
    """Its first part is not done again at the next attempt: a copy takes the place of it all."""
    ours = links.start("lockstep", binaries["lockstep"])
    listener = socket.create_server(("127.0.0.1", 0))
    tries = []
    commands = (b"SET text a", b"MULTI", b"INCR half", b"LPUSH text a", b"EXEC")
    thread = threading.Thread(target=strange_primary, args=(listener, tries, commands))
    thread.start()
    try:
        call(ours.connect(10), "REPLICAOF", "127.0.0.1", listener.getsockname()[1])
        until("it was tried again", lambda: len(tries) >= 3)
        # Nothing, for the moment after a copy.
        if (found := call(ours.connect(10), "GET", "half").text) not in (None, b"1"):
            raise Broken(f"the first part was done {found} times")
        if any(b"a" * 40 in request for request in tries):
            raise Broken("it went on in the middle")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
        ours.stop()


def strange_primary(listener: socket.socket, tries: list, commands: tuple) -> None:
    """Sends an empty copy and then these commands; goes on where it is asked to."""
    copy = b"REDIS0010\xff" + bytes(8)
    stream = b"".join(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words) for words in map(bytes.split, commands))
    listener.settimeout(links.PATIENCE_S)
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with peer:
            peer.settimeout(5)
            try:
                while request := peer.recv(4096):
                    if b"PSYNC" in request:
                        wanted = int(request.split()[-1])
                        full = b"+FULLRESYNC %s 100\r\n$%d\r\n%s" % (b"a" * 40, len(copy), copy)
                        peer.sendall(b"+CONTINUE\r\n" + stream[wanted - 101 :] if b"a" * 40 in request else full + stream)
                        tries.append(request)
                    elif b"ACK" not in request:
                        peer.sendall(b"+PONG\r\n" if b"PING" in request else b"+OK\r\n" * request.count(b"REPLCONF"))
            except OSError:
                pass


def half_a_copy(listener: socket.socket, tries: list) -> None:
    """A primary that dies while it sends: first in the file, then before its checksum, then with a wrong one."""
    whole = b"REDIS0010" + b"".join(b"\x00\x05key%02d\x05value" % n for n in range(50)) + b"\xff" + b"\x01" * 8
    listener.settimeout(links.PATIENCE_S)
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with peer:
            peer.settimeout(5)
            try:
                while not (request := peer.recv(4096)) or b"PSYNC" not in request:
                    if not request:
                        break
                    peer.sendall(b"+PONG\r\n" if b"PING" in request else b"+OK\r\n" * request.count(b"REPLCONF"))
                else:
                    part = whole[: (300, len(whole) - 8, len(whole))[len(tries) % 3]]
                    peer.sendall(b"+FULLRESYNC %s 100\r\n\n$%d\r\n%s" % (b"a" * 40, len(whole), part))
                    tries.append(len(part))
            except OSError:
                pass


if __name__ == "__main__":
    sys.exit(main())
