//! Waiters of the whole frame; the commands that really wait have their own tests. `GETDEL`
//! stands for them: it takes a value that is there and answers with nothing otherwise.

use super::*;
use crate::config::ConfigHandle;

fn server() -> &'static Server {
    Server::new(ConfigHandle::default())
}

fn waiter(key: &str, others: &[&str]) -> Arc<Waiter> {
    Waiter::new(WaiterParts {
        db: DbIndex(0),
        resp3: false,
        touches: true,
        reader: None,
        words: vec![b"GETDEL"[..].into(), key.as_bytes().into()],
        keys: vec![key.as_bytes().into()],
        others: others.iter().map(|key| key.as_bytes().into()).collect(),
        wanted: Wanted::Any,
        minds_loss: false,
        waker: None,
    })
}

fn wait(server: &'static Server, waiter: &Arc<Waiter>) {
    for key in &waiter.keys {
        let mut locked = Locked::one(&server.keyspace, DbIndex(0), place(key));
        let shard = locked.shard_mut(DbIndex(0), place(key));
        shard.file_waiter(key, Arc::clone(waiter));
    }
}

fn frame<'a>(server: &'static Server, settings: &'a Settings) -> Frame<'a> {
    Frame {
        server,
        settings,
        db: DbIndex(0),
        now: time::unix_ms(),
        origin: Origin::Client,
        touches: true,
        may_expire: true,
        may_block: true,
    }
}

/// Locks as dispatch does, or only the shards of the keys.
fn lock(server: &'static Server, words: &[&str], closed: bool) -> Locked<'static> {
    let args = OwnedArgs::of(words);
    let spec = table::resolve(args.view()).expect("a command");
    let mut scratch = Scratch::default();
    if closed {
        return run::lock(server, spec, args.view(), DbIndex(0), &mut scratch).expect("no script");
    }
    let mut places = Vec::new();
    let keyspace = &server.keyspace;
    run::places(keyspace, spec, args.view(), DbIndex(0), &mut places);
    Locked::several(keyspace, &mut places)
}

fn write(server: &'static Server, words: &[&str], mut locked: Locked<'static>) {
    let args = OwnedArgs::of(words);
    let settings = Settings::default();
    let frame = frame(server, &settings);
    let mut scratch = Scratch::default();
    let spec = table::resolve(args.view()).expect("a command");
    let Handler::Write(handler) = spec.handler else {
        panic!("a write");
    };
    let mut out = OutBuf::default();
    let mut reply = Reply::new(&mut out, false);
    let result = run::write(
        &frame,
        handler,
        args.view(),
        &mut locked,
        &mut scratch,
        &mut reply,
    );
    if result.expect("it works") == Effect::AsReceived {
        scratch.effects.request(DbIndex(0), args.view());
    }
    run::commit(&frame, &mut locked, &mut scratch);
    run::serve_and_unlock(&frame, locked, &mut scratch);
}

fn reply(waiter: &Waiter) -> Option<(String, u64)> {
    let served = waiter.outcome()?.expect("served");
    let text = String::from_utf8(served.bytes).expect("text");
    Some((text, served.offset))
}

/// Two keys in different shards.
fn apart() -> (String, String) {
    let names = || (0..).map(|i| format!("key:{i}"));
    let first = "key:0".to_owned();
    let other = names().find(|name| place(name.as_bytes()) != place(first.as_bytes()));
    (first, other.expect("there are many"))
}

#[test]
fn the_first_who_came_gets_it_and_the_next_waits_on() {
    let server = server();
    let (first, second) = (waiter("k", &[]), waiter("k", &[]));
    wait(server, &first);
    wait(server, &second);
    let words = ["SET", "k", "one"];
    write(server, &words, lock(server, &words, true));
    let (text, offset) = reply(&first).expect("served");
    assert_eq!(text, "$3\r\none\r\n");
    assert_eq!(offset, server.log.end(), "its deletion is the last write");
    assert!(reply(&second).is_none());
    let words = ["SET", "k", "two"];
    write(server, &words, lock(server, &words, true));
    assert_eq!(reply(&second).expect("served").0, "$3\r\ntwo\r\n");
    let locked = Locked::one(&server.keyspace, DbIndex(0), place(b"k"));
    assert!(!locked.any_waiters());
}

#[test]
fn one_that_was_called_off_is_passed_over() {
    let server = server();
    let (first, second) = (waiter("k", &[]), waiter("k", &[]));
    wait(server, &first);
    wait(server, &second);
    assert!(first.call_off(Cause::TimedOut));
    let words = ["SET", "k", "one"];
    write(server, &words, lock(server, &words, true));
    assert_eq!(reply(&second).expect("served").0, "$3\r\none\r\n");
}

#[test]
fn all_that_serving_touches_is_locked_before_the_write() {
    let server = server();
    let (key, other) = apart();
    wait(server, &waiter(&key, &[&other]));
    let further = waiter(&other, &["key:0", "somewhere"]);
    wait(server, &further);
    let locked = lock(server, &["SET", &key, "v"], true);
    for reach in [key.as_bytes(), other.as_bytes(), b"somewhere"] {
        assert!(locked.holds(DbIndex(0), place(reach)));
    }
}

#[test]
fn what_is_not_locked_is_served_a_moment_later() {
    let server = server();
    let (key, other) = apart();
    let waiting = waiter(&key, &[&other]);
    wait(server, &waiting);
    let words = ["SET", &key, "v"];
    write(server, &words, lock(server, &words, false));
    assert_eq!(reply(&waiting).expect("served").0, "$1\r\nv\r\n");
}

#[test]
fn the_other_type_is_none() {
    let server = server();
    let list = Waiter::new(WaiterParts {
        db: DbIndex(0),
        resp3: false,
        touches: true,
        reader: None,
        words: vec![b"GETDEL"[..].into(), b"k"[..].into()],
        keys: vec![(*b"k").into()],
        others: Vec::new(),
        wanted: Wanted::List,
        minds_loss: false,
        waker: None,
    });
    wait(server, &list);
    let words = ["SET", "k", "v"];
    write(server, &words, lock(server, &words, true));
    assert!(reply(&list).is_none());
}
