//! What operators and their tools rely on besides commands: the command line, the service
//! supervisor, options that hide commands.

mod support;

use lockstep::client::Client;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use support::{PATIENCE, Server, free_port};

fn refused(server: &Server, args: &[&str]) -> String {
    server.try_call(args).expect_err("an error")
}

/// The server's exit code and what it printed, for a start that ends by itself.
fn run(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep-server"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the server runs");
    let all = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&all).into())
}

#[test]
fn systemd_hears_when_the_server_is_ready_and_when_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let heard = || {
        let mut buffer = [0; 256];
        let len = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    };
    let before = format!("export NOTIFY_SOCKET={}", path.display());
    let mut server = Server::start_after(Some(&before), &["--supervised", "auto"]);
    assert_eq!(heard(), "STATUS=Loading the data\n");
    assert_eq!(heard(), "STATUS=Ready to accept connections\nREADY=1\n");
    let info = server.text(&["INFO", "server"]);
    assert!(info.contains("process_supervised:systemd"), "{info}");
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait());
    assert_eq!(heard(), "STATUS=Stopping\nSTOPPING=1\n");
}

#[test]
fn renamed_commands_keep_their_names_in_the_log() {
    let renames = [
        "--rename-command",
        "FLUSHALL",
        "",
        "--rename-command",
        "set",
        "put",
        "--appendonly",
        "yes",
    ];
    let mut server = Server::start(&renames);
    // A replica without renames follows.
    let replica = Server::replica_of(&server, &[]);
    assert_eq!(server.text(&["PUT", "k", "v"]), "OK");
    for hidden in [&["SET", "k", "w"][..], &["flushall"], &["FLUSHALL", "SYNC"]] {
        let error = refused(&server, hidden);
        assert!(error.starts_with("ERR unknown command"), "{error}");
    }
    let script = "redis.call('put', 'k2', 'v2'); return redis.pcall('set', 'k', 'w')['err']";
    let error = server.text(&["EVAL", script, "0"]);
    assert!(error.contains("Unknown Redis command"), "{error}");
    support::eventually("the replica to have both", || {
        replica.text(&["GET", "k2"]) == "v2"
    });
    server.kill();
    server.restart();
    assert_eq!(server.text(&["GET", "k2"]), "v2");
}

#[test]
fn a_start_that_would_open_what_a_file_closes_is_refused() {
    for (option, value) in [
        ("--user", "default off"),
        ("--aclfile", "/etc/users.acl"),
        ("--tls-port", "7000"),
        ("--cluster-enabled", "yes"),
        ("--rename-command", "nosuch x"),
    ] {
        let (code, said) = run(&["--port", "0", option, value]);
        assert_eq!(code, Some(1), "{option}: {said}");
        assert!(said.contains("FATAL CONFIG FILE ERROR"), "{said}");
    }
}

#[test]
fn tools_find_the_version_where_redis_prints_it() {
    let (code, said) = run(&["--version"]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("Redis server v=8.2.3 sha="), "{said}");
    assert!(said.contains("lockstep="), "{said}");
}

#[test]
fn a_dash_may_come_first() {
    let port = free_port();
    let mut child = Command::new(env!("CARGO_BIN_EXE_lockstep-server"))
        .args(["-", "--port", &port.to_string(), "--save", ""])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the server starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(b"maxmemory 5mb\n").expect("a line");
    drop(input);
    let mut shown = String::new();
    support::eventually("the server to answer", || {
        let asked = Client::connect("127.0.0.1", port, PATIENCE)
            .and_then(|mut client| client.call(&["CONFIG", "GET", "maxmemory"]));
        shown = format!("{asked:?}");
        asked.is_ok()
    });
    child.kill().expect("the server dies");
    child.wait().expect("the server is gone");
    // The bytes of 5242880.
    let wanted = format!("{:?}", b"5242880");
    assert!(shown.contains(&wanted), "{shown}");
}

#[test]
fn all_options_can_be_written_to_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.conf");
    std::fs::write(&path, "# mine\nhz 20\n").expect("a file");
    let file = path.to_str().expect("a name");
    let port = free_port();
    let start = |more: &[&str]| {
        let mut args = vec![file.to_owned(), "--port".into(), port.to_string()];
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        let child = Command::new(env!("CARGO_BIN_EXE_lockstep-server"))
            .args(args)
            .stdout(Stdio::null())
            .spawn();
        let mut client = None;
        support::eventually("the server to answer", || {
            client = Client::connect("127.0.0.1", port, PATIENCE).ok();
            client.is_some()
        });
        (child.expect("the server starts"), client.expect("a client"))
    };
    let ask = |client: &mut Client| {
        let answer = client.call(&["CONFIG", "GET", "*"]);
        format!("{:?}", answer.expect("all options"))
    };
    let (mut child, mut client) = start(&["--enable-debug-command", "yes", "--save", ""]);
    let answer = client.call(&["DEBUG", "CONFIG-REWRITE-FORCE-ALL"]);
    answer.expect("a rewritten file");
    let before = ask(&mut client);
    child.kill().expect("it dies");
    child.wait().expect("it is gone");
    let text = std::fs::read_to_string(&path).expect("the file");
    assert!(text.starts_with("# mine\nhz 20\n"), "{text}");
    assert!(text.contains("\nmaxmemory-samples 5\n"), "{text}");
    // Everything that was written is read again, and means the same.
    let (mut child, mut client) = start(&[]);
    assert_eq!(ask(&mut client), before);
    child.kill().expect("it dies");
    child.wait().expect("it is gone");
}

#[test]
fn a_terminal_that_is_closed_does_not_end_the_server() {
    let server = Server::start(&[]);
    server.signal(nix::sys::signal::Signal::SIGHUP);
    server.signal(nix::sys::signal::Signal::SIGPIPE);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(server.text(&["PING"]), "PONG");
}
