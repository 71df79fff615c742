#!/usr/bin/env python3
"""Django's cache and sessions: its own Redis backend and django-redis, with sessions in the cache, across a failover.

    redis-tests/clients/django_site.py --binary target/release/lockstep-server
"""

from __future__ import annotations

import sys
from importlib import import_module

import django
from checks import Checks, follow_failures, group_of_three
from django.conf import settings


def configure(port: int) -> None:
    url = f"redis://127.0.0.1:{port}"
    settings.configure(
        SECRET_KEY="for tests only", INSTALLED_APPS=["django.contrib.sessions"], SESSION_ENGINE="django.contrib.sessions.backends.cache",
        SESSION_CACHE_ALIAS="default", USE_TZ=True,
        CACHES={
            "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"{url}/1", "KEY_PREFIX": "site"},
            "extra": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"{url}/2",
                      "OPTIONS": {"CLIENT_CLASS": "django_redis.client.DefaultClient", "COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor"}},
        },
    )
    django.setup()


def cache(checks: Checks, name: str) -> None:
    from django.core.cache import caches

    store = caches[name]
    store.clear()
    value = {"list": [1, 2.5, None], "text": "größer", "bytes": bytes(range(256)) * 20}
    store.set("value", value, 60)
    checks.equal(f"{name}: a value comes back", store.get("value"), value)
    checks.equal(f"{name}: add adds once", [store.add("once", 1), store.add("once", 2), store.get("once")], [True, False, 1])
    store.set("number", 5)
    checks.equal(f"{name}: numbers count", [store.incr("number", 3), store.decr("number", 2)], [8, 6])
    try:
        store.incr("nothing")
        checks.that(f"{name}: nothing there to count", False)
    except ValueError:
        checks.that(f"{name}: nothing there to count", True)
    checks.equal(f"{name}: many at once", [store.set_many({f"m{n}": n for n in range(20)}) or [], len(store.get_many([f"m{n}" for n in range(30)]))], [[], 20])
    store.delete_many([f"m{n}" for n in range(10)])
    checks.that(f"{name}: deleted", not store.has_key("m3") and store.has_key("m13"))
    checks.equal(f"{name}: computed once", [store.get_or_set("made", lambda: "made", 60), store.get_or_set("made", lambda: "again", 60)], ["made", "made"])
    store.set("short", 1, 1)
    checks.that(f"{name}: touched", store.touch("value", 100) and not store.touch("nothing", 100))
    checks.equal(f"{name}: versions are apart", [store.set("value", 2, version=2), store.get("value", version=2), store.get("value") == value], [None, 2, True]
                 if name == "default" else [True, 2, True])
    checks.soon(f"{name}: expired", lambda: store.get("short") is None, 5)


def extras(checks: Checks) -> None:
    from django.core.cache import caches

    store = caches["extra"]
    checks.that("a remaining time", 0 < store.ttl("value") <= 100)
    store.set_many({f"found:{n}": n for n in range(120)})
    checks.equal("keys by pattern", len(set(store.iter_keys("found:*"))), 120)
    checks.equal("deleted by pattern", store.delete_pattern("found:*"), 120)
    with store.lock("lock", timeout=5):
        checks.that("a lock is held", not store.lock("lock", timeout=5).acquire(blocking=False))
    checks.that("and given back", store.lock("lock", timeout=1).acquire(blocking=False))


def main() -> int:
    with group_of_three(__doc__) as (nodes, checks):
        configure(nodes.address.port)
        for name in ("default", "extra"):
            cache(checks, name)
        extras(checks)
        store = import_module(settings.SESSION_ENGINE).SessionStore
        keys = []
        for number in range(50):
            session = store()
            session["visitor"], session["basket"] = number, list(range(number))
            session.set_expiry(3600)
            session.save()
            keys.append(session.session_key)
        nodes.fail_over()
        # A broken connection of the pool is an error of one request, as it is with Redis.
        follow_failures(lambda: store(keys[0]).load())
        for number, key in enumerate(keys):
            session = follow_failures(lambda key=key: store(key).load())
            if session.get("visitor") != number or session.get("basket") != list(range(number)):
                checks.that(f"session {number} is as it was: {session}", False)
        checks.equal("sessions have the age that was set", follow_failures(lambda: store(keys[1]).get_expiry_age()), 3600)
        session = store(keys[2])
        session["visitor"] = "changed"
        follow_failures(session.save)
        checks.equal("sessions change", store(keys[2])["visitor"], "changed")
        old = session.session_key
        follow_failures(session.cycle_key)
        checks.that("a session gets a new key at login", store(session.session_key).get("visitor") == "changed" and not store().exists(old))
        session.flush()
        checks.that("and ends at logout", not store().exists(session.session_key or "none"))
        checks.equal("all nodes hold the same data", len(nodes.digests()), 1)
        return checks.end()


if __name__ == "__main__":
    sys.exit(main())
