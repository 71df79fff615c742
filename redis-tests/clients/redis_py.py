#!/usr/bin/env python3
"""redis-py, sync and asyncio, over RESP2 and RESP3: pipelines, transactions, scripts, locks, messages, streams and
client-side caching; then the primary is killed under clients that retry.

    redis-tests/clients/redis_py.py --binary target/release/lockstep-server
"""

from __future__ import annotations

import asyncio
import sys
import threading

import redis
import redis.asyncio
from checks import Checks, follow_failures, group_of_three
from group import Group
from redis.backoff import ConstantBackoff
from redis.cache import CacheConfig
from redis.retry import Retry

# Fifteen seconds of trying: longer than a failover.
RETRIES = {"retry": Retry(ConstantBackoff(0.05), 300), "retry_on_error": [redis.ConnectionError, redis.TimeoutError]}


def commands(checks: Checks, client: redis.Redis, protocol: int) -> None:
    client.flushall()
    with client.pipeline(transaction=True) as pipe:
        pipe.hset("hash", mapping={"name": "Ada", "sent": 1}).hgetall("hash").zadd("scores", {"a": 1.5, "b": float("inf")})
        pipe.zrange("scores", 0, -1, withscores=True)
        hashed, scored = pipe.execute()[1::2]
    checks.equal(f"RESP{protocol}: a hash is a dict", hashed, {"name": "Ada", "sent": "1"})
    checks.equal(f"RESP{protocol}: scores are numbers", [score for _, score in scored], [1.5, float("inf")])
    client.set("counter", 1)

    def double(pipe: redis.client.Pipeline) -> None:
        value = int(pipe.get("counter"))
        if value == 1:
            client.set("counter", 5)
        pipe.multi()
        pipe.set("counter", value * 2)

    client.transaction(double, "counter")
    checks.equal(f"RESP{protocol}: a transaction is tried again when its key changed", client.get("counter"), "10")
    script = client.register_script("redis.setresp(3) return {redis.call('HGETALL', KEYS[1]), ARGV[1] + 0}")
    client.script_flush()
    reply = script(keys=["hash"], args=[41])
    checks.equal(f"RESP{protocol}: a script that was forgotten is loaded again", reply[1], 41)
    checks.that(f"RESP{protocol}: its reply holds the hash: {reply}", "Ada" in str(reply[0]))
    counted = 0

    def count() -> None:
        nonlocal counted
        for _ in range(10):
            with client.lock("locks:counted", timeout=10, sleep=0.005):
                before = counted
                client.ping()
                counted = before + 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    checks.equal(f"RESP{protocol}: a lock admits one at a time", counted, 40)
    client.mset({f"scan:{n}": n for n in range(500)})
    checks.equal(f"RESP{protocol}: a scan finds all keys", len(set(client.scan_iter("scan:*", count=50))), 500)
    client.xgroup_create("mails", "senders", mkstream=True)
    sent = client.xadd("mails", {"to": "ada"})
    checks.that(f"RESP{protocol}: a group reads a stream", sent in str(client.xreadgroup("senders", "one", {"mails": ">"})))
    checks.equal(f"RESP{protocol}: and acknowledges", client.xack("mails", "senders", sent), 1)


def messages(checks: Checks, client: redis.Redis, protocol: int) -> None:
    listener = client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe("news")
    listener.psubscribe("n*")
    listener.ssubscribe("shard")
    heard: list[str] = []

    def hear() -> bool:
        message = listener.get_message(timeout=0.05) or listener.get_sharded_message(timeout=0.05)
        if message:
            heard.append(f"{message['type']} {message['data']}")
        return len(heard) >= 3

    checks.soon(f"RESP{protocol}: subscriptions count", lambda: client.pubsub_numsub("news")[0][1] == 1 and client.pubsub_numpat() >= 1
                and client.pubsub_shardnumsub("shard")[0][1] == 1)
    client.publish("news", "hello")
    client.spublish("shard", "hi")
    checks.soon(f"RESP{protocol}: messages arrive", hear)
    checks.equal(f"RESP{protocol}: each once", sorted(heard), ["message hello", "pmessage hello", "smessage hi"])
    listener.close()


def reads(client: redis.Redis) -> int:
    """How many GETs the server has been asked."""
    return client.info("commandstats").get("cmdstat_get", {"calls": 0})["calls"]


def caching(checks: Checks, port: int, client: redis.Redis) -> redis.Redis:
    cached = redis.Redis(port=port, protocol=3, decode_responses=True, cache_config=CacheConfig(), **RETRIES)
    client.set("page", "old")
    cached.get("page")
    before = reads(client)
    checks.that("a cached value is read", all(cached.get("page") == "old" for _ in range(20)))
    checks.equal("without asking the server", reads(client), before)
    client.set("page", "new")
    checks.soon("a change reaches the cache", lambda: cached.get("page") == "new")
    with client.pipeline() as pipe:
        pipe.delete("page").execute()
    checks.soon("so does a deletion", lambda: cached.get("page") is None)
    client.set("page", "short", px=150)
    cached.get("page")
    checks.soon("so does an expiry", lambda: cached.get("page") is None)
    client.set("page", "kept")
    checks.soon("a key that was missing is seen", lambda: cached.get("page") == "kept")
    client.flushall()
    checks.soon("so does FLUSHALL", lambda: cached.get("page") is None)
    client.mset({"one": 1, "two": 2})
    checks.equal("several are cached at once", [cached.mget("one", "two") for _ in range(3)], [["1", "2"]] * 3)
    client.incr("two")
    checks.soon("and one of them changes", lambda: cached.mget("one", "two") == ["1", "3"])
    return cached


async def with_asyncio(checks: Checks, nodes: Group) -> None:
    """Sixty tasks on one pool, readers blocked on a list, and a subscription, all of which go on at the new primary."""
    from redis.asyncio.retry import Retry as AsyncRetry

    client = redis.asyncio.Redis(port=nodes.address.port, protocol=3, decode_responses=True, retry=AsyncRetry(ConstantBackoff(0.05), 300),
                                 retry_on_error=[redis.ConnectionError, redis.TimeoutError])
    replies = await asyncio.gather(*(client.incr("asked") for _ in range(60)))
    checks.equal("sixty at once count to sixty", sorted(replies), list(range(1, 61)))
    blocked = asyncio.create_task(client.blpop("queue", 10))
    await asyncio.sleep(0.05)
    await client.rpush("queue", "job")
    checks.equal("a blocked reader is served", list(await blocked), ["queue", "job"])

    done: set[int] = set()
    stop = asyncio.Event()

    async def write(worker: int) -> None:
        number = worker
        while not stop.is_set():
            # A set: what a retry adds twice is there once.
            await client.sadd("written", number)
            done.add(number)
            number += 10
            await asyncio.sleep(0.002)

    writers = [asyncio.create_task(write(worker)) for worker in range(10)]
    await asyncio.sleep(0.3)
    before = len(done)
    await asyncio.to_thread(nodes.fail_over)
    while len(done) < before + 200:
        await asyncio.sleep(0.02)
    stop.set()
    await asyncio.gather(*writers)
    found = await client.smembers("written")
    checks.equal("every acknowledged write is there", {n for n in done if str(n) not in found}, set())
    checks.equal("and nothing of before is lost", await client.get("asked"), "60")
    async with client.pubsub() as listener:
        await listener.subscribe("news")
        await listener.get_message(timeout=5)
        await client.publish("news", "again")
        message = await listener.get_message(ignore_subscribe_messages=True, timeout=5)
        checks.equal("a subscription hears the new primary", message and message["data"], "again")
    await client.aclose()


def main() -> int:
    with group_of_three(__doc__) as (nodes, checks):
        port = nodes.address.port
        for protocol in (2, 3):
            client = redis.Redis(port=port, protocol=protocol, decode_responses=True, **RETRIES)
            commands(checks, client, protocol)
            messages(checks, client, protocol)
        cached = caching(checks, port, client)
        client.set("page", "before")
        checks.soon("the cache holds the page", lambda: cached.get("page") == "before")
        asyncio.run(with_asyncio(checks, nodes))
        follow_failures(lambda: client.set("page", "after"))
        checks.soon("the cache of before the failover is not believed", lambda: cached.get("page") == "after")
        checks.equal("all nodes hold the same data", len(nodes.digests()), 1)
        return checks.end()


if __name__ == "__main__":
    sys.exit(main())
