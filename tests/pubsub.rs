//! Messages between clients: across replicas, behind uncommitted writes, and to those who do
//! not read.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::{Group, PATIENCE, Server, eventually};

/// Long enough that a message that is not held has come, however busy the machine is.
const MOMENT: Duration = Duration::from_millis(700);

/// A client that sends requests and reads whatever comes.
struct Listener {
    socket: TcpStream,
    unread: Vec<u8>,
}

impl Listener {
    fn connect(server: &Server) -> Listener {
        let socket = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
        let unread = Vec::new();
        Listener { socket, unread }
    }

    /// A client that has subscribed to a channel or pattern.
    fn of(server: &Server, command: &str, topic: &str) -> Listener {
        let mut listener = Listener::connect(server);
        listener.send(&[command, topic]);
        let ack = bulks(&[&command.to_lowercase(), topic], ":1");
        listener.expect(&ack);
        listener
    }

    fn send(&mut self, args: &[&str]) {
        let request = bulks(args, "");
        self.socket
            .write_all(request.as_bytes())
            .expect("a request");
    }

    /// Reads exactly this.
    fn expect(&mut self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.unread.len() < wanted.len() && self.receive(deadline) {}
        let got = String::from_utf8_lossy(&self.unread);
        assert!(got.starts_with(wanted), "wanted {wanted:?}, got {got:?}");
        self.unread.drain(..wanted.len());
    }

    /// Nothing comes for a moment.
    fn hears_nothing(&mut self) {
        let deadline = Instant::now() + MOMENT;
        while self.receive(deadline) {}
        let got = String::from_utf8_lossy(&self.unread);
        assert!(got.is_empty(), "{got:?}");
    }

    /// Whether something came before the deadline.
    fn receive(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        self.socket.set_read_timeout(Some(left)).expect("a timeout");
        let mut space = [0; 64 * 1024];
        match self.socket.read(&mut space) {
            Ok(n) => {
                self.unread.extend_from_slice(&space[..n]);
                n > 0
            }
            Err(error) => {
                assert!(
                    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                    "{error}"
                );
                false
            }
        }
    }
}

/// An array of bulk strings and one more element, encoded.
fn bulks(words: &[&str], last: &str) -> String {
    let mut text = format!("*{}\r\n", words.len() + usize::from(!last.is_empty()));
    for word in words {
        text += &format!("${}\r\n{word}\r\n", word.len());
    }
    if !last.is_empty() {
        text += &format!("{last}\r\n");
    }
    text
}

fn message(channel: &str, text: &str) -> String {
    bulks(&["message", channel, text], "")
}

/// All that a server's append-only files hold. A replica has a new increment after its full
/// resync, so the name of the last one is not known.
fn log_text(server: &Server) -> String {
    let folder = std::fs::read_dir(server.path("appendonlydir")).expect("a folder");
    let mut text = String::new();
    for file in folder {
        let bytes = std::fs::read(file.expect("a file").path()).expect("its bytes");
        text += &String::from_utf8_lossy(&bytes);
    }
    text
}

#[test]
fn subscribers_of_replicas_hear_what_is_published_on_the_primary() {
    let files = ["--appendonly", "yes"];
    let mut group = Group::start(2, &files, &files);
    let mut here = Listener::of(&group.primary, "SUBSCRIBE", "c");
    let mut there = Listener::of(&group.replicas[0], "SUBSCRIBE", "c");
    let mut shard = Listener::of(&group.replicas[1], "SSUBSCRIBE", "s");
    let mut publisher = group.primary.client();
    for i in 0..50 {
        let text = i.to_string();
        publisher.call(&["PUBLISH", "c", &text]).expect("a reply");
        publisher.call(&["SET", "k", &text]).expect("a reply");
        publisher.call(&["SPUBLISH", "s", &text]).expect("a reply");
    }
    for i in 0..50 {
        let text = i.to_string();
        here.expect(&message("c", &text));
        there.expect(&message("c", &text));
        shard.expect(&bulks(&["smessage", "s", &text], ""));
    }
    // What a replica's client publishes stays there.
    group.replicas[0].call(&["PUBLISH", "c", "local"]);
    there.expect(&message("c", "local"));
    here.hears_nothing();
    group.assert_equal();
    // No message is in a file, neither here nor there, and the files are whole without them.
    let digest = group.primary.digest();
    for server in std::iter::once(&group.primary).chain(&group.replicas) {
        server.call(&["CONFIG", "SET", "appendfsync", "always"]);
        let text = log_text(server);
        assert!(text.contains("\r\nSET\r\n"), "{text}");
        assert!(!text.contains("PUBLISH"), "{text}");
    }
    group.primary.kill();
    group.primary.restart();
    assert_eq!(group.primary.digest(), digest);
}

#[test]
fn an_event_is_not_seen_before_its_write_is_committed() {
    let options = ["--sync-timeout", "120000", "--notify-keyspace-events", "EA"];
    let group = Group::start(1, &options, &[]);
    let mut events = Listener::of(&group.primary, "SUBSCRIBE", "__keyevent@0__:set");
    let mut chat = Listener::of(&group.primary, "SUBSCRIBE", "chat");
    let set = |key: &str| {
        let mut writer = Listener::connect(&group.primary);
        writer.send(&["SET", key, "v"]);
        writer
    };
    set("before").expect("+OK\r\n");
    events.expect(&message("__keyevent@0__:set", "before"));
    group.replicas[0].pause();
    let mut held = set("held");
    // Messages that clients publish wait for nobody.
    group.primary.call(&["PUBLISH", "chat", "hello"]);
    chat.expect(&message("chat", "hello"));
    events.hears_nothing();
    held.hears_nothing();
    // Who does not wait for replicas hears at once.
    let mut hasty = Listener::connect(&group.primary);
    hasty.send(&["CLIENT", "SYNC", "async"]);
    hasty.expect("+OK\r\n");
    hasty.send(&["SUBSCRIBE", "__keyevent@0__:set"]);
    hasty.expect(&bulks(&["subscribe", "__keyevent@0__:set"], ":1"));
    let mut other = set("other");
    hasty.expect(&message("__keyevent@0__:set", "other"));
    events.hears_nothing();
    group.replicas[0].resume();
    for key in ["held", "other"] {
        events.expect(&message("__keyevent@0__:set", key));
    }
    held.expect("+OK\r\n");
    other.expect("+OK\r\n");
}

#[test]
fn a_write_whose_fate_is_unknown_is_not_told_of() {
    let options = ["--sync-timeout", "500", "--sync-on-timeout", "fail"];
    let group = Group::start(1, &options, &[]);
    group
        .primary
        .call(&["CONFIG", "SET", "notify-keyspace-events", "EA"]);
    let mut events = Listener::of(&group.primary, "PSUBSCRIBE", "*");
    group.replicas[0].pause();
    let mut writer = Listener::connect(&group.primary);
    writer.send(&["SET", "k", "v"]);
    writer.expect("-UNCERTAIN");
    events.hears_nothing();
    group.replicas[0].resume();
    // The subscriber is not stuck behind what it was not told.
    group.primary.call(&["PUBLISH", "chat", "hello"]);
    events.expect(&bulks(&["pmessage", "*", "chat", "hello"], ""));
}

#[test]
fn events_and_invalidations_come_from_the_stream_as_well() {
    let group = Group::start(1, &[], &["--notify-keyspace-events", "KEA"]);
    let replica = &group.replicas[0];
    let mut events = Listener::of(replica, "PSUBSCRIBE", "__keyevent*");
    let mut caching = Listener::connect(replica);
    caching.send(&["HELLO", "3"]);
    let deadline = Instant::now() + PATIENCE;
    while !caching.unread.ends_with(b"modules\r\n*0\r\n") && caching.receive(deadline) {}
    caching.unread.clear();
    caching.send(&["CLIENT", "TRACKING", "ON"]);
    caching.send(&["GET", "k"]);
    caching.expect("+OK\r\n_\r\n");
    group.primary.call(&["SET", "k", "v"]);
    let event = |event: &str| {
        let channel = format!("__keyevent@0__:{event}");
        bulks(&["pmessage", "__keyevent*", &channel, "k"], "")
    };
    events.expect(&event("set"));
    caching.expect(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
    group.primary.call(&["EXPIRE", "k", "100"]);
    group.primary.call(&["DEL", "k"]);
    events.expect(&event("expire"));
    events.expect(&event("del"));
}

#[test]
fn a_subscriber_that_does_not_read_is_cut_off_and_nobody_waits_for_it() {
    let limit = "pubsub 1mb 0 0";
    let server = Server::start(&["--client-output-buffer-limit", limit]);
    let mut slow = Listener::of(&server, "SUBSCRIBE", "c");
    let mut good = Listener::of(&server, "SUBSCRIBE", "c");
    let mut publisher = server.client();
    let text = "x".repeat(10_000);
    let wanted = message("c", &text);
    let before_kb = server.resident_kb();
    for i in 0..4000 {
        publisher.call(&["PUBLISH", "c", &text]).expect("a reply");
        // The good one reads what it gets.
        good.expect(&wanted);
        if i % 500 == 0 {
            assert!(server.resident_kb() < before_kb + 64 * 1024);
        }
    }
    eventually("the slow subscriber to go", || {
        server
            .text(&["PUBSUB", "NUMSUB", "c"])
            .contains("Integer(1)")
    });
    assert_eq!(server.text(&["PUBLISH", "c", "end"]), "1");
    good.expect(&message("c", "end"));
    let info = server.text(&["INFO", "stats"]);
    assert!(info.contains("client_output_buffer_limit_disconnections:1"));
    // What it could still read ends with the connection.
    let deadline = Instant::now() + PATIENCE;
    slow.socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout");
    let mut space = vec![0; 1 << 20];
    while Instant::now() < deadline {
        match slow.socket.read(&mut space) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    panic!("the connection did not end");
}

#[test]
fn many_subscribers_on_all_workers_see_one_order() {
    let server = Server::start(&["--io-threads", "4"]);
    let mut all: Vec<_> = (0..20)
        .map(|_| Listener::of(&server, "SUBSCRIBE", "c"))
        .collect();
    let publishers: Vec<_> = (0..4)
        .map(|p| {
            let mut client = server.client();
            std::thread::spawn(move || {
                for i in 0..250 {
                    let text = format!("{p}:{i:03}");
                    client.call(&["PUBLISH", "c", &text]).expect("a reply");
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.join().expect("a publisher");
    }
    let length = 1000 * message("c", "0:000").len();
    let deadline = Instant::now() + PATIENCE;
    for listener in &mut all {
        while listener.unread.len() < length && listener.receive(deadline) {}
        assert_eq!(listener.unread.len(), length);
    }
    let first = all.first().expect("a listener").unread.clone();
    assert!(all.iter().all(|listener| listener.unread == first));
    // Each publisher's own messages are in its order.
    let text = String::from_utf8_lossy(&first).into_owned();
    for p in 0..4 {
        let own: Vec<_> = text
            .split("\r\n")
            .filter(|line| line.starts_with(&format!("{p}:")))
            .collect();
        assert_eq!(own.len(), 250);
        assert!(own.is_sorted());
    }
}
