//! What real servers answered, and properties of reading and writing files.

use super::rewrite::rewritten;
use super::*;
use proptest::prelude::*;
use std::collections::HashSet;
use std::ffi::OsString;

fn loaded(text: &str) -> ConfigHandle {
    load_text(text.as_bytes(), None).unwrap().handle
}

fn load_error(text: &str) -> String {
    load_text(text.as_bytes(), None).unwrap_err().to_string()
}

fn set(handle: &ConfigHandle, pairs: &[(&str, &str)]) -> Result<Change, String> {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    handle
        .set(&pairs, true, |_| Ok(()))
        .map_err(|error| error.to_string())
}

/// Why a single option's value is refused.
fn refusal(name: &str, value: &str) -> String {
    let error = set(&ConfigHandle::default(), &[(name, value)]).unwrap_err();
    let start = format!("ERR CONFIG SET failed (possibly related to argument '{name}') - ");
    error
        .strip_prefix(&start)
        .map_or(error.clone(), str::to_owned)
}

fn get(handle: &ConfigHandle, pattern: &str) -> Vec<(String, String)> {
    handle
        .get(&[pattern.as_bytes()])
        .into_iter()
        .map(|(name, value)| {
            (
                String::from_utf8(name).unwrap(),
                String::from_utf8(value).unwrap(),
            )
        })
        .collect()
}

fn shown(handle: &ConfigHandle, name: &str) -> String {
    String::from_utf8(handle.current().shown(name).unwrap()).unwrap()
}

#[test]
fn every_option_has_one_name_a_good_default_and_help() {
    let mut names = HashSet::new();
    for spec in options() {
        for name in std::iter::once(&spec.name).chain(spec.aliases) {
            assert!(names.insert(*name), "{name} is declared twice");
        }
        assert!(spec.help.ends_with('.'), "{} has no help", spec.name);
        let line = format!("{} \"{}\"", spec.name, spec.default);
        if spec.kind != Kind::ReplicaOf {
            load_text(line.as_bytes(), None).unwrap_or_else(|error| panic!("{error}"));
        }
    }
    // Meets every field of `Config`.
    let config = Config::default();
    assert_eq!(config.sync_timeout_ms, 1000);
    assert_eq!(config.proto_max_bulk_len, 512 << 20);
    assert_eq!(config.replicaof, None);
    assert!(config.dir.is_absolute());
}

#[test]
fn defaults_are_shown_as_redis_shows_them() {
    let handle = ConfigHandle::default();
    for (name, value) in [
        ("save", "3600 1 300 100 60 10000"),
        (
            "client-output-buffer-limit",
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        ),
        ("bind", "* -::*"),
        ("oom-score-adj-values", "0 200 800"),
        ("latency-tracking-info-percentiles", "50 99 99.9"),
        ("shutdown-on-sigterm", "default"),
        ("maxmemory-clients", "0"),
        ("unixsocketperm", "0"),
        ("repl-backlog-size", "1048576"),
        ("notify-keyspace-events", ""),
        ("replicaof", ""),
    ] {
        assert_eq!(shown(&handle, name), value, "{name}");
    }
}

#[test]
fn refusals_are_redis_texts() {
    for (name, value, text) in [
        (
            "maxclients",
            "abc",
            "argument couldn't be parsed into an integer",
        ),
        (
            "maxclients",
            "0",
            "argument must be between 1 and 4294967295 inclusive",
        ),
        ("maxclients", "-1", "argument must be greater or equal to 0"),
        (
            "timeout",
            " 5",
            "argument couldn't be parsed into an integer",
        ),
        (
            "port",
            "99999",
            "argument must be between 0 and 65535 inclusive",
        ),
        ("appendonly", "maybe", "argument must be 'yes' or 'no'"),
        ("maxmemory", "10xx", "argument must be a memory value"),
        ("maxmemory", "-5", "argument must be a memory value"),
        ("maxmemory", "1.5gb", "argument must be a memory value"),
        (
            "maxmemory",
            "99999999999999999999999",
            "argument must be greater or equal to 0",
        ),
        (
            "auto-aof-rewrite-min-size",
            "9223372036854775808",
            "argument must be between 0 and 9223372036854775807 inclusive",
        ),
        (
            "maxmemory-clients",
            "101%",
            "percentage argument must be less or equal to 100",
        ),
        (
            "maxmemory-clients",
            "-5%",
            "argument must be a memory or percent value",
        ),
        ("databases", "5", "can't set immutable config"),
        ("dir", "/", "can't set protected config"),
        ("save", "900", "Invalid save parameters"),
        ("save", "900 x", "Invalid save parameters"),
        (
            "client-output-buffer-limit",
            "normal 1 2",
            "Wrong number of arguments in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "master 1 2 3",
            "Invalid client class specified in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "normal x 2 3",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
        (
            "appendfsync",
            "foo",
            "argument(s) must be one of the following: everysec, always, no",
        ),
        (
            "notify-keyspace-events",
            "foo",
            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
        ),
        ("oom-score-adj-values", "1 2", "wrong number of arguments"),
        (
            "shutdown-on-sigint",
            "foo",
            "argument(s) must be one of the following: default, save, nosave, now, force",
        ),
        (
            "shutdown-on-sigint",
            "save nosave",
            "shutdown options SAVE and NOSAVE can't be used simultaneously",
        ),
        (
            "nosuch",
            "5",
            "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'",
        ),
        (
            "maxclie?ts",
            "5",
            "ERR Unknown option or number of arguments for CONFIG SET - 'maxclie?ts'",
        ),
    ] {
        assert_eq!(refusal(name, value), text, "{name} {value}");
    }
}

#[test]
fn the_option_is_named_in_the_tables_spelling() {
    let error = set(&ConfigHandle::default(), &[("MIN-slaves-to-write", "abc")]).unwrap_err();
    assert!(error.contains("'min-slaves-to-write'"), "{error}");
}

#[test]
fn values_are_normalised_as_redis_does() {
    let handle = ConfigHandle::default();
    for (name, value, then) in [
        ("maxmemory", "1gb", "1073741824"),
        ("maxmemory-clients", "10%", "10%"),
        ("notify-keyspace-events", "KEA", "AKE"),
        ("notify-keyspace-events", "KEAmn", "AKEm"),
        ("notify-keyspace-events", "comK", "ocKm"),
        ("notify-keyspace-events", "gxKn", "gxnK"),
        ("notify-keyspace-events", "g$lshzxetd", "A"),
        ("repl-backlog-size", "1", "16384"),
        ("hz", "0", "1"),
        ("appendonly", "YES", "yes"),
        ("save", "900 1 60 5", "900 1 60 5"),
        ("save", "", ""),
        ("shutdown-on-sigint", "force now", "now force"),
        ("latency-tracking-info-percentiles", "50 99.99", "50 99.99"),
        ("bind", "", ""),
        (
            "client-output-buffer-limit",
            "normal 1mb 2mb 3 replica 1 2 3",
            "normal 1048576 2097152 3 slave 1 2 3 pubsub 33554432 8388608 60",
        ),
    ] {
        set(&handle, &[(name, value)]).unwrap();
        assert_eq!(shown(&handle, name), then, "{name} {value}");
    }
}

#[test]
fn several_options_are_set_together_or_not_at_all() {
    let handle = ConfigHandle::default();
    let version = handle.version();
    let error = set(&handle, &[("timeout", "5"), ("maxclients", "abc")]).unwrap_err();
    assert!(error.contains("'maxclients'"), "{error}");
    assert!(set(&handle, &[("timeout", "5"), ("nosuch", "3")]).is_err());
    let error = set(&handle, &[("timeout", "5"), ("timeout", "6")]).unwrap_err();
    assert!(
        error.ends_with("'timeout') - duplicate parameter"),
        "{error}"
    );
    assert_eq!(handle.current().timeout_seconds, 0);
    assert_eq!(handle.version(), version);

    let pairs: [(&[u8], &[u8]); 2] = [(b"timeout", b"5"), (b"port", b"1")];
    let error = handle.set(&pairs, true, |change| {
        assert_eq!(change.names, ["port", "timeout"]);
        Err(("port", "Unable to listen on this port.".to_owned()))
    });
    assert_eq!(
        error.unwrap_err().to_string(),
        "ERR CONFIG SET failed (possibly related to argument 'port') - \
         Unable to listen on this port."
    );
    assert_eq!(handle.current().timeout_seconds, 0);

    let change = set(&handle, &[("slave-priority", "5"), ("activedefrag", "yes")]).unwrap();
    assert_eq!(change.new.replica_priority, 5);
    assert_eq!(change.inert, ["activedefrag"]);
    assert!(handle.version() > version);
}

#[test]
fn protected_options_open_to_whom_the_configuration_says() {
    let handle = loaded("enable-protected-configs local");
    let pairs: [(&[u8], &[u8]); 1] = [(b"dbfilename", b"x.rdb")];
    assert!(handle.set(&pairs, false, |_| Ok(())).is_err());
    assert!(handle.set(&pairs, true, |_| Ok(())).is_ok());
    let error = set(&handle, &[("dbfilename", "a/b")]).unwrap_err();
    assert!(error.ends_with("dbfilename can't be a path, just a filename"));
}

#[test]
fn get_answers_under_the_name_that_was_asked() {
    let handle = ConfigHandle::default();
    assert_eq!(
        get(&handle, "MAXCLIENTS"),
        [("MAXCLIENTS".into(), "10000".into())]
    );
    let names: Vec<_> = get(&handle, "*-prio*").into_iter().map(|p| p.0).collect();
    assert_eq!(names, ["replica-priority", "slave-priority"]);
    let both = handle.get(&[b"maxc*", b"maxclients", b"nosuch"]);
    assert_eq!(both.len(), 1);
    assert!(get(&handle, "watchdog*").is_empty());
    assert_eq!(get(&handle, "watchdog-period").len(), 1);
    // Redis 8.2 has 205 names, Valkey 9.1 adds 37.
    assert!(get(&handle, "*").len() > 245);
}

#[test]
fn files_are_read_by_redis_rules() {
    let handle = loaded(
        "# comment\n\n  port 1\t\r\nrequirepass \"a\\x20b\\\"\"\nmasterauth 'it\\'s'\n\
         save 900 1\nsave 300 10\nslaveof localhost 6379\nSYNC-ACK received\n\
         client-output-buffer-limit pubsub 1mb 1mb 5\nclient-output-buffer-limit normal 1 2 3\n",
    );
    let config = handle.current();
    assert_eq!(config.port, 1);
    assert_eq!(config.requirepass.as_deref(), Some(&b"a b\""[..]));
    assert_eq!(config.masterauth.as_deref(), Some("it's"));
    assert_eq!(shown(&handle, "save"), "900 1 300 10");
    assert_eq!(config.replicaof, Some(("localhost".into(), 6379)));
    assert_eq!(config.sync_ack, crate::commit::AckLevel::Received);
    assert_eq!(config.client_output_buffer_limit[0].hard, 1);
    assert_eq!(config.client_output_buffer_limit[2].soft_seconds, 5);
    assert_eq!(loaded("replicaof no one").current().replicaof, None);
}

#[test]
fn errors_in_files_say_where() {
    let error = load_error("\n\nmaxclients 10 20\n");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        error,
        format!(
            "\n*** FATAL CONFIG FILE ERROR (Lockstep {version}) ***\n\
             Reading the configuration file, at line 3\n>>> 'maxclients 10 20'\n\
             wrong number of arguments"
        )
    );
    for (text, message) in [
        (
            "set \"unbalanced",
            "Unbalanced quotes in configuration line",
        ),
        ("nosuch 1", "Bad directive or wrong number of arguments"),
        ("include", "Bad directive or wrong number of arguments"),
        ("aof-load-truncated", "wrong number of arguments"),
        ("replicaof localhost", "wrong number of arguments"),
        ("replicaof localhost abc", "Invalid master port"),
        (
            "appendfilename a/b",
            "appendfilename can't be a path, just a filename",
        ),
        (
            "appenddirname a/b",
            "appenddirname can't be a path, just a dirname",
        ),
        ("dir /nonexistent", "No such file or directory"),
        (
            "unixsocketperm 9999",
            "argument couldn't be parsed as an octal number",
        ),
        (
            "sentinel x",
            "sentinel directive while not in sentinel mode",
        ),
    ] {
        assert!(load_error(text).ends_with(message), "{text}");
    }
    assert_eq!(
        load_error("include /nonexistent.conf"),
        "Fatal error, can't open config file '/nonexistent.conf': No such file or directory"
    );
}

#[test]
fn files_include_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("b.conf"), "timeout 2\n").unwrap();
    std::fs::write(at("a.conf"), "timeout 1\nport 1\n").unwrap();
    let handle = loaded(&format!("include {}/*.conf", folder.path().display()));
    assert_eq!(handle.current().timeout_seconds, 2);
    assert_eq!(handle.current().port, 1);
    loaded(&format!("include {}/*.none", folder.path().display()));
    let own = format!("include {}\n", at("c.conf").display());
    std::fs::write(at("c.conf"), &own).unwrap();
    assert!(load_error(&own).ends_with("Too many nested include directives"));
}

#[test]
fn what_does_nothing_is_named() {
    let loaded = load_text(b"activedefrag yes\nio-threads 1\ntls-port 1\n", None).unwrap();
    let names: Vec<_> = loaded.inert.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["activedefrag", "tls-port"]);
}

#[test]
fn debians_file_is_accepted() {
    if let Ok(text) = std::fs::read("/etc/redis/redis.conf") {
        // Its folders exist only where its package is installed.
        let text = String::from_utf8_lossy(&text).replace("\ndir ", "\n# dir ");
        assert_eq!(loaded(&text).current().port, 6379);
    }
}

#[test]
fn our_own_file_says_the_defaults() {
    let text = include_str!("../../conf/lockstep.conf");
    let ours = loaded(text);
    let defaults = ConfigHandle::default();
    for spec in options().filter(|spec| !["bind", "dir"].contains(&spec.name)) {
        let (here, there) = (shown(&ours, spec.name), shown(&defaults, spec.name));
        assert_eq!(here, there, "{}", spec.name);
        // Every option that works is in the file, set or commented out, but those for tests.
        let listed = |line: &str| {
            line.trim_start_matches("# ")
                .starts_with(&format!("{} ", spec.name))
        };
        if !spec.flags.intersects(Flags::INERT | Flags::HIDDEN) {
            assert!(text.lines().any(listed), "{} is not in the file", spec.name);
        }
    }
}

fn options_of(args: &[&str]) -> Sources {
    match parse_command_line(args.iter().map(OsString::from)) {
        Invocation::Run(sources) => sources,
        other => panic!("{other:?}"),
    }
}

#[test]
fn command_lines_are_read_by_redis_rules() {
    assert_eq!(parse_command_line([]), Invocation::Run(Sources::default()));
    assert_eq!(parse_command_line(["-v".into()]), Invocation::Version);
    assert_eq!(parse_command_line(["--help".into()]), Invocation::Help);

    let sources = options_of(&["a.conf", "--port", "1", "--bind", "::1", "127.0.0.1", "-"]);
    assert_eq!(sources.file, Some("a.conf".into()));
    assert!(sources.stdin);
    assert_eq!(sources.options, b"port \"1\"\nbind \"::1\" \"127.0.0.1\"");

    for (args, lines) in [
        (&["--save", "", "--port", "0"][..], "save \"\"\nport \"0\""),
        (&["--save", "--port", "0"], "save \"\"\nport \"0\""),
        (&["--port", "0", "--save"], "port \"0\"\nsave \"\""),
        (
            &["--requirepass", "--a", "--port", "0"],
            "requirepass \"--a\"\nport \"0\"",
        ),
        (
            &["--replicaof localhost 1", "--port", "0"],
            "replicaof localhost 1\nport \"0\"",
        ),
        (&["--requirepass", "a\"b"], "requirepass \"a\\\"b\""),
    ] {
        let options = String::from_utf8(options_of(args).options).unwrap();
        assert_eq!(options, lines);
    }
}

#[test]
fn rewriting_keeps_comments_and_order() {
    let old = "# mine\nport 1\n\n# limits\nmaxmemory 100mb\nsave 900 1\nsave 300 10\n\
               slave-priority 7\nrename-command FLUSHALL \"\"\ntimeout 5\n";
    let handle = loaded(old);
    set(
        &handle,
        &[
            ("timeout", "0"),
            ("maxmemory", "1500000"),
            ("save", "60 5"),
            ("hz", "20"),
        ],
    )
    .unwrap();
    set(
        &handle,
        &[("requirepass", "a b"), ("notify-keyspace-events", "KEA")],
    )
    .unwrap();
    handle.note("replicaof", &[b"127.0.0.1", b"7"]).unwrap();
    let text = String::from_utf8(rewritten(old.as_bytes(), &handle.current(), false)).unwrap();
    let dir = handle.current().dir.display().to_string();
    assert_eq!(
        text,
        format!(
            "# mine\nport 1\n\n# limits\nmaxmemory 1500000\nsave 60 5\nreplica-priority 7\n\
             rename-command FLUSHALL \"\"\ntimeout 0\n\n# Generated by CONFIG REWRITE\n\
             hz 20\nrequirepass \"a b\"\ndir \"{dir}\"\nreplicaof 127.0.0.1 7\n\
             notify-keyspace-events \"AKE\"\n"
        )
    );
}

#[test]
fn rewriting_replaces_the_file_and_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.conf");
    std::fs::write(&path, "port 5\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let sources = Sources {
        file: Some(path.clone()),
        options: b"timeout 3".to_vec(),
        ..Sources::default()
    };
    let handle = load(&sources).unwrap().handle;
    handle.rewrite().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("port 5\n") && text.contains("\ntimeout 3\n"));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = ConfigHandle::default().rewrite().unwrap_err();
    assert_eq!(
        error.to_string(),
        "ERR The server is running without a config file"
    );
}

/// Options with values that each of them takes.
fn settings() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let one = prop_oneof![
        (0..9_000_000_000u64).prop_map(|n| ("maxmemory", n.to_string())),
        (0..100u8).prop_map(|n| ("maxmemory-clients", format!("{n}%"))),
        any::<String>().prop_map(|text| ("requirepass", text)),
        any::<String>().prop_map(|text| ("availability-zone", text)),
        prop::collection::vec((1..99u32, 0..99u32), 0..4).prop_map(|pairs| {
            let pairs: Vec<_> = pairs.iter().map(|(a, b)| format!("{a} {b}")).collect();
            ("save", pairs.join(" "))
        }),
        "[KEg$lshzxetmdnA]{0,6}".prop_map(|text| ("notify-keyspace-events", text)),
        (0..99999u32, 0..9999u32).prop_map(|(hard, soft)| {
            let limit = format!("replica {hard}kb {soft} 7");
            ("client-output-buffer-limit", limit)
        }),
        "[a-z'\" ]{0,12}".prop_map(|text| ("bind", text)),
        any::<bool>().prop_map(|yes| ("appendonly", if yes { "yes" } else { "no" }.to_owned())),
        "(50 99\\.9|0|100 1\\.25)?".prop_map(|text| ("latency-tracking-info-percentiles", text)),
        "(save )?(now )?force".prop_map(|text| ("shutdown-on-sigterm", text)),
    ];
    prop::collection::vec(one, 0..12)
}

proptest! {
    #[test]
    fn a_rewritten_file_says_the_same_and_is_not_rewritten_again(
        first in settings(), second in settings()
    ) {
        let mut text = b"# a comment\n\nport 7\nsave 1 2\nclient-output-buffer-limit normal 1 1 1\n".to_vec();
        let handle = load_text(&text, None).unwrap().handle;
        for settings in [first, second] {
            for (name, value) in &settings {
                set(&handle, &[(*name, value.as_str())]).unwrap();
            }
            text = rewritten(&text, &handle.current(), false);
            let again = load_text(&text, None).unwrap().handle;
            prop_assert_eq!(&again.current().values, &handle.current().values);
            prop_assert_eq!(rewritten(&text, &again.current(), false), text.clone());
            prop_assert!(text.starts_with(b"# a comment\n\nport 7\n"));
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<Vec<u8>>()) {
        let _ = load_text(&text, None);
    }
}
