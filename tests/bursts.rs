//! Replies to many clients of one worker, with and without `io_uring`: each client gets its
//! own, whole, in order, and to the last one, also when it reads late or goes early.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use support::{PATIENCE, Server};

/// Enough that many replies wait for the same turn.
const CLIENTS: usize = 80;

/// Runs `test` on a server of one worker that sends in bursts, and on one that does not.
fn with_both(test: impl Fn(&Server)) {
    for engine in ["auto", "no"] {
        let server = Server::start(&["--workers", "1", "--io-uring", engine]);
        if engine == "no" {
            let info = server.text(&["INFO", "server"]);
            assert_eq!(lockstep::client::info_field(&info, "io_uring"), Some("0"));
        }
        test(&server);
    }
}

fn connect(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

fn crowd(server: &Server) -> Vec<TcpStream> {
    (0..CLIENTS).map(|_| connect(server)).collect()
}

fn send(socket: &mut TcpStream, text: &str) {
    socket.write_all(text.as_bytes()).expect("a request");
}

fn expect(socket: &mut TcpStream, reply: &str) {
    let mut got = vec![0; reply.len()];
    socket.read_exact(&mut got).expect("a reply");
    assert_eq!(String::from_utf8_lossy(&got), reply);
}

/// What comes until the server closes.
fn rest(socket: &mut TcpStream) -> String {
    let mut got = Vec::new();
    socket.read_to_end(&mut got).expect("an end");
    String::from_utf8_lossy(&got).into_owned()
}

#[test]
fn each_client_gets_its_own_replies_in_order() {
    with_both(|server| {
        let mut crowd = crowd(server);
        for round in 0..50 {
            for (i, socket) in crowd.iter_mut().enumerate() {
                // Some send a pipeline, some what ends in the middle of a request.
                let more = "PING\r\n".repeat(if i % 7 == 0 { 5 } else { 0 });
                send(socket, &format!("ECHO c{i}-{round}\r\n{more}EC"));
            }
            for (i, socket) in crowd.iter_mut().enumerate() {
                let text = format!("c{i}-{round}");
                let more = "+PONG\r\n".repeat(if i % 7 == 0 { 5 } else { 0 });
                expect(socket, &format!("${}\r\n{text}\r\n{more}", text.len()));
                send(socket, "HO end\r\n");
            }
            for socket in &mut crowd {
                expect(socket, "$3\r\nend\r\n");
            }
        }
    });
}

#[test]
fn who_goes_gets_what_it_is_owed() {
    with_both(|server| {
        for (request, reply) in [
            ("PING\r\nQUIT\r\n", "+PONG\r\n+OK\r\n"),
            ("PING\r\n*x\r\n", "+PONG\r\n-ERR Protocol error"),
            ("PING\r\nINCR n\r\n", "+PONG\r\n:"),
        ] {
            let mut crowd = crowd(server);
            for socket in &mut crowd {
                send(socket, request);
                if !request.contains("QUIT") {
                    socket.shutdown(Shutdown::Write).expect("half an end");
                }
            }
            for socket in &mut crowd {
                let got = rest(socket);
                assert!(got.starts_with(reply), "{got:?}");
                assert!(got.ends_with("\r\n"), "{got:?}");
            }
        }
        // Whoever left without reading a reply harms nobody.
        for socket in &mut crowd(server) {
            send(socket, "PING\r\n");
        }
        assert_eq!(server.text(&["GET", "n"]), CLIENTS.to_string());
    });
}

#[test]
fn who_reads_late_gets_everything_and_holds_nobody_up() {
    with_both(|server| {
        let values = ["a", "b", "c"].map(|text| text.repeat(12_000));
        let mut lazy: Vec<_> = (0..8).map(|_| connect(server)).collect();
        let mut crowd = crowd(server);
        for (i, value) in values.iter().enumerate() {
            assert_eq!(server.text(&["SET", &format!("v{i}"), value]), "OK");
        }
        let round = "GET v0\r\nGET v1\r\nPING\r\nGET v2\r\n";
        for turn in 0..60 {
            // Far more than the sockets' buffers take.
            for socket in &mut lazy {
                send(socket, &round.repeat(3));
            }
            for socket in &mut crowd {
                send(socket, &format!("ECHO {turn}\r\n"));
            }
            let text = turn.to_string();
            for socket in &mut crowd {
                expect(socket, &format!("${}\r\n{text}\r\n", text.len()));
            }
        }
        let [a, b, c] = &values;
        let all = format!("$12000\r\n{a}\r\n$12000\r\n{b}\r\n+PONG\r\n$12000\r\n{c}\r\n");
        for socket in &mut lazy {
            for _ in 0..60 * 3 {
                expect(socket, &all);
            }
            send(socket, "PING\r\n");
            expect(socket, "+PONG\r\n");
        }
    });
}
