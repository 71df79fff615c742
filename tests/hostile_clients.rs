//! Clients that send nonsense, never finish, never read or go away do no harm to others.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::{Group, PATIENCE, Server, eventually};

/// What a server may grow by while it is abused, far above what is measured.
const MOST_KB: u64 = 256 * 1024;

fn connect(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

/// Writes until the server reads no more, or everything is sent; the number of bytes sent.
fn stuff(socket: &mut TcpStream, request: &[u8], most: usize) -> usize {
    socket.set_nonblocking(true).expect("a mode");
    let batch = request.repeat(1 + 64 * 1024 / request.len());
    let (mut sent, mut at, mut quiet) = (0, 0, Instant::now());
    // A busy machine may need a moment to read on.
    while sent < most && quiet.elapsed() < Duration::from_secs(2) {
        match socket.write(&batch[at..]) {
            Ok(n) => {
                sent += n;
                at = (at + n) % batch.len();
                quiet = Instant::now();
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(_) => break,
        }
    }
    socket.set_nonblocking(false).expect("a mode");
    sent
}

fn assert_well(server: &Server, idle_kb: u64) {
    assert_eq!(server.text(&["PING"]), "PONG");
    let grown = server.resident_kb().saturating_sub(idle_kb);
    assert!(grown < MOST_KB, "grown by {grown} kB");
}

fn wait_alone(server: &Server) {
    eventually("the clients to be forgotten", || {
        let info = server.text(&["INFO", "clients"]);
        lockstep::client::info_field(&info, "connected_clients") == Some("1")
    });
}

#[test]
fn nonsense_ends_the_connection_and_nothing_else() {
    let server = Server::start(&[]);
    let idle = server.resident_kb();
    let broken: [&[u8]; 8] = [
        b"*-2147483649\r\n",
        b"*99999999999\r\n",
        b"*2\r\n$-7\r\n",
        b"*1\r\n$99999999999\r\n",
        b"*1\r\n:4\r\n",
        b"*x\r\n",
        b"\"unbalanced\r\n",
        b"*1\r\n$+\r\n",
    ];
    for bytes in broken {
        let mut socket = connect(&server);
        socket.write_all(bytes).expect("sent");
        // What is taken for the beginning of something ends here.
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut reply = Vec::new();
        // It may be reset while there is unread input.
        let _ = socket.read_to_end(&mut reply);
        let reply = String::from_utf8_lossy(&reply);
        let shown = String::from_utf8_lossy(bytes);
        let named = reply.is_empty() || reply.contains("-ERR ");
        assert!(named, "{reply:?} to {shown:?}");
    }
    // Noise: letters, line ends and the bytes that mean something, as chance has it.
    let mut state = 1u64;
    let mut byte = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        let alphabet = b"*$-+:0123456789\r\n\r\nabz\"'\\ \0\xff";
        alphabet[(state >> 33) as usize % alphabet.len()]
    };
    for _ in 0..300 {
        let noise: Vec<u8> = (0..500).map(|_| byte()).collect();
        let mut socket = connect(&server);
        let _ = socket.write_all(&noise);
    }
    wait_alone(&server);
    assert_well(&server, idle);
}

#[test]
fn a_long_line_without_an_end_is_refused() {
    let server = Server::start(&[]);
    for start in [&b"PING "[..], b"*", b"*1\r\n$"] {
        let mut socket = connect(&server);
        let _ = socket.write_all(start);
        let _ = socket.write_all(&[b'1'; 200 * 1024]);
        let mut reply = Vec::new();
        let _ = socket.read_to_end(&mut reply);
        assert_eq!(server.text(&["PING"]), "PONG");
    }
}

#[test]
fn announced_lengths_cost_nothing_until_they_arrive() {
    let server = Server::start(&[]);
    let idle = server.resident_kb();
    let claims: [&[u8]; 3] = [
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nbegin",
        b"*1000000\r\n$3\r\nDEL\r\n$1\r\n",
        b"*3\r\n$3\r\nSET\r\n$536870912\r\nk",
    ];
    let sockets: Vec<_> = (0..300)
        .map(|i| {
            let mut socket = connect(&server);
            socket.write_all(claims[i % claims.len()]).expect("sent");
            socket
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    assert_well(&server, idle);
    drop(sockets);
    wait_alone(&server);
}

#[test]
fn clients_that_vanish_in_the_middle_of_a_value_leave_nothing() {
    let server = Server::start(&[]);
    let idle = server.resident_kb();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..200 {
        let mut socket = connect(&server);
        let head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$104857600\r\n";
        socket.write_all(head).expect("sent");
        socket.write_all(&piece).expect("sent");
    }
    wait_alone(&server);
    assert_eq!(server.text(&["EXISTS", "k"]), "0");
    assert_well(&server, idle);
}

#[test]
fn slow_clients_hold_up_nobody() {
    let server = Server::start(&[]);
    let request = b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n";
    let mut sockets: Vec<_> = (0..300).map(|_| connect(&server)).collect();
    for byte in request {
        for socket in &mut sockets {
            socket.write_all(&[*byte]).expect("sent");
        }
        assert_eq!(server.text(&["PING"]), "PONG");
    }
    for socket in &mut sockets {
        let mut reply = [0u8; 11];
        socket.read_exact(&mut reply).expect("a reply");
        assert_eq!(&reply, b"$5\r\nhello\r\n");
    }
}

#[test]
fn who_does_not_read_is_not_read() {
    let server = Server::start(&[]);
    server.call(&["SET", "big", &"x".repeat(100_000)]);
    let idle = server.resident_kb();
    // Together they ask for far more than there is memory.
    let sockets: Vec<_> = (0..4)
        .map(|_| {
            let mut socket = connect(&server);
            stuff(&mut socket, b"GET big\r\n", 8 << 20);
            socket
        })
        .collect();
    assert_well(&server, idle);
    drop(sockets);
    wait_alone(&server);
}

/// Client libraries send a whole pipeline before they read. Once the sockets' buffers were full, both
/// sides waited for each other.
#[test]
fn a_pipeline_of_any_length_may_be_sent_before_its_replies_are_read() {
    let server = Server::start(&[]);
    let value = "x".repeat(100);
    server.call(&["SET", "k", &value]);
    let mut socket = connect(&server);
    socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    let count = 400_000;
    for _ in 0..count / 1000 {
        socket
            .write_all(&b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".repeat(1000))
            .expect("all of it is taken");
    }
    let expected = format!("$100\r\n{value}\r\n");
    let mut reply = vec![0; expected.len()];
    let mut replies = std::io::BufReader::new(&socket);
    for _ in 0..count {
        replies.read_exact(&mut reply).expect("a reply");
        assert_eq!(reply, expected.as_bytes());
    }
}

#[test]
fn replies_beyond_the_limit_end_the_client() {
    let server = Server::start(&["--client-output-buffer-limit", "normal 100000 0 0"]);
    server.call(&["SET", "big", &"x".repeat(300_000)]);
    server.call(&["RPUSH", "list", "a"]);
    for _ in 0..8 {
        server.call(&[
            "EVAL",
            "for i = 1, 100 do redis.call('RPUSH', 'list', ('y'):rep(1000)) end",
            "0",
        ]);
    }
    for (round, request) in ["GET big", "LRANGE list 0 -1"].iter().enumerate() {
        let mut socket = connect(&server);
        socket
            .write_all(format!("INCR counter\r\n{request}\r\n").as_bytes())
            .expect("sent");
        let mut all = Vec::new();
        let _ = socket.read_to_end(&mut all);
        assert!(all.len() < 100_000, "{request}: {} bytes", all.len());
        let info = server.text(&["INFO", "stats"]);
        let ended =
            lockstep::client::info_field(&info, "client_output_buffer_limit_disconnections");
        assert_eq!(ended, Some(&*(round + 1).to_string()));
        // What it did stands.
        assert_eq!(server.text(&["GET", "counter"]), (round + 1).to_string());
    }
}

#[test]
fn who_waits_for_much_is_not_read_until_it_is_confirmed() {
    let options = ["--sync-timeout", "120000", "--held-reply-limit", "256kb"];
    let group = Group::start(1, &options, &[]);
    let idle = group.primary.resident_kb();
    group.replicas[0].pause();
    let mut socket = connect(&group.primary);
    let (request, most) = (b"INCR some:counter:with:a:name\r\n", 256 << 20);
    let sent = stuff(&mut socket, request, most);
    assert!(sent < most, "all {sent} bytes were read");
    assert_well(&group.primary, idle);
    group.replicas[0].resume();
    // Every request that was sent whole is answered, in order.
    let count = sent / request.len();
    let mut replies = std::io::BufReader::new(&socket);
    for n in 1..=count {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut replies, &mut line).expect("a reply");
        assert_eq!(line, format!(":{n}\r\n"));
    }
    drop(socket);
    group.assert_equal();
}

#[test]
fn ten_thousand_connections_come_and_go() {
    let server = Server::start(&[]);
    let mut early = server.client();
    let idle = server.resident_kb();
    for _ in 0..20 {
        let mut sockets: Vec<_> = (0..500).map(|_| connect(&server)).collect();
        for socket in &mut sockets {
            socket.write_all(b"PING\r\n").expect("sent");
        }
        // Half of them do not wait for the answer.
        for socket in &mut sockets[..250] {
            let mut reply = [0u8; 7];
            socket.read_exact(&mut reply).expect("a reply");
        }
    }
    assert!(early.call(&["PING"]).is_ok(), "the first is still served");
    drop(early);
    wait_alone(&server);
    assert_well(&server, idle);
}
