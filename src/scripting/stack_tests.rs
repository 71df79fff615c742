//! Scripts and replies through Lua's stack, without a server.

use super::sandbox::{Kind, Sandbox};
use super::stack::{self, Entry, Kept, Outcome};
use crate::protocol::{OutBuf, OwnedArgs, Reply};
use mlua::{Function, Value};

fn sandbox() -> Sandbox {
    Sandbox::new(Kind::Scripts).expect("a sandbox")
}

/// A function of this body, which has `parse(reply)`: what becomes of a command's reply.
fn kept(sandbox: &Sandbox, code: &str) -> Kept {
    let text = format!("local parse = ... return function(...) {code} end");
    let parse = stack::parser(&sandbox.lua).expect("room");
    let made = sandbox.lua.load(text).call::<Function>(parse);
    let function = made.expect("it compiles");
    sandbox.machine.keep(&sandbox.lua, &function).expect("room")
}

/// Runs a text with `...` as its keys and arguments; gives its reply, or `!` and its error.
fn run(sandbox: &Sandbox, code: &str, resp3: bool) -> String {
    let function = kept(sandbox, code);
    let said = call(sandbox, function, resp3);
    sandbox.machine.forget(function);
    said
}

fn call(sandbox: &Sandbox, function: Kept, resp3: bool) -> String {
    let (keys, args) = (OwnedArgs::of(["k", ""]), OwnedArgs::of(["a\0b"]));
    let mut out = OutBuf::default();
    sandbox.current.resp3.set(resp3);
    let entry = Entry {
        function,
        keys: keys.view(),
        args: args.view(),
        in_globals: false,
        reply: &mut Reply::new(&mut out, resp3),
    };
    let outcome = sandbox.machine.run(&sandbox.lua, &sandbox.current, entry);
    match outcome.expect("memory") {
        Outcome::Replied => String::from_utf8_lossy(&out.flatten()).replace("\r\n", " "),
        Outcome::Failed(Value::Table(error)) => {
            let text: String = error.raw_get("err").expect("a text");
            format!("!{text}")
        }
        Outcome::Failed(other) => format!("!!{other:?}"),
        Outcome::Panicked(_) => "panic".into(),
    }
}

#[test]
fn results_become_replies() {
    let sandbox = sandbox();
    for (code, resp2, resp3) in [
        ("return 'text'", "$4 text ", "$4 text "),
        ("return 3.99", ":3 ", ":3 "),
        ("return true", ":1 ", "#t "),
        ("return false", "$-1 ", "#f "),
        ("return", "$-1 ", "_ "),
        ("return 1, 2", ":1 ", ":1 "),
        (
            "return {1, {'a', {}}, nil, 4}",
            "*2 :1 *2 $1 a *0 ",
            "*2 :1 *2 $1 a *0 ",
        ),
        ("return {ok = 'a\\r\\nb'}", "+a  b ", "+a  b "),
        ("return {err = '-X y'}", "--X y ", "--X y "),
        ("return {double = 1.5}", "$3 1.5 ", ",1.5 "),
        (
            "return {map = {a = {1}}}",
            "*2 $1 a *1 :1 ",
            "%1 $1 a *1 :1 ",
        ),
        ("return {set = {a = true}}", "*1 $1 a ", "~1 $1 a "),
        ("return {big_number = '12'}", "$2 12 ", "(12 "),
        (
            "return {verbatim_string = {string = 'x', format = 'txt'}}",
            "$1 x ",
            "=5 txt:x ",
        ),
        ("return {verbatim_string = {string = 'x'}}", "*0 ", "*0 "),
        ("return function() end", "$-1 ", "_ "),
        (
            "local k, a = ... return {k, a}",
            "*2 *2 $1 k $0  *1 $3 a\0b ",
            "*2 *2 $1 k $0  *1 $3 a\0b ",
        ),
    ] {
        assert_eq!(run(&sandbox, code, false), resp2, "{code}");
        assert_eq!(run(&sandbox, code, true), resp3, "{code}");
    }
}

#[test]
fn replies_become_values() {
    let sandbox = sandbox();
    // What comes out again is what went in.
    for reply in [
        "$4\r\ntext\r\n",
        "$0\r\n\r\n",
        ":-7\r\n",
        "+OK\r\n",
        "-ERR x\r\n",
        "#t\r\n",
        "#f\r\n",
        "_\r\n",
        ",1.5\r\n",
        "(123\r\n",
        "=5\r\ntxt:x\r\n",
        "*0\r\n",
        "*2\r\n:1\r\n*1\r\n$1\r\na\r\n",
        "%1\r\n$1\r\na\r\n:1\r\n",
        "~1\r\n$1\r\na\r\n",
    ] {
        let code = format!("return parse({reply:?})")
            .replace("\\r", "\\13")
            .replace("\\n", "\\10");
        assert_eq!(run(&sandbox, &code, true), reply.replace("\r\n", " "));
    }
    // A map's null key has no place in a table; an array may lose its end.
    assert_eq!(
        run(
            &sandbox,
            "return parse('%1\\13\\10_\\13\\10:1\\13\\10')",
            true
        ),
        "%0 "
    );
    for cut in [
        "",
        "$",
        "$9\\13\\10ab",
        "*3\\13\\10:1\\13\\10",
        "%5\\13\\10",
        "=2\\13\\10t",
        "*99999999\\13\\10",
    ] {
        let said = run(&sandbox, &format!("parse('{cut}') return 1"), true);
        assert_eq!(said, ":1 ", "{cut}");
    }
}

#[test]
fn what_is_too_deep_or_too_large_is_an_error() {
    let sandbox = sandbox();
    let deep = run(
        &sandbox,
        "local t = {} for i = 1, 5000 do t = {t} end return t",
        false,
    );
    assert!(deep.ends_with("-ERR reached lua stack limit "), "{deep}");
    let deep = run(
        &sandbox,
        "return parse(string.rep('*1\\13\\10', 100000))",
        true,
    );
    assert!(deep.contains("nested too deeply"), "{deep}");
    let deep = run(
        &sandbox,
        "local ok = pcall(parse, string.rep('*1\\13\\10', 100000)) return ok",
        true,
    );
    assert_eq!(deep, "#f ");
    let large = run(
        &sandbox,
        "local s = string.rep('x', 1e6) for i = 1, 20 do s = s .. s end",
        false,
    );
    assert!(large.contains("not enough memory"), "{large}");
    // Nothing of that stays.
    assert_eq!(run(&sandbox, "return 1", false), ":1 ");
    let elsewhere = "return coroutine.wrap(function() return parse('+x\\13\\10') end)()";
    assert_eq!(run(&sandbox, elsewhere, false), "+x ");
}

#[test]
fn functions_are_kept_until_they_are_forgotten() {
    let sandbox = sandbox();
    let before = sandbox.lua.used_memory();
    for round in 0..20 {
        let one = kept(&sandbox, &format!("return '{round}'"));
        let other = kept(&sandbox, "error({err = 'mine'})");
        sandbox.lua.gc_collect().expect("collected");
        assert!(call(&sandbox, one, false).contains(&round.to_string()));
        assert_eq!(call(&sandbox, other, false), "!mine");
        sandbox.machine.forget(one);
        sandbox.machine.forget(other);
    }
    sandbox.lua.gc_collect().expect("collected");
    assert!(sandbox.lua.used_memory() < before + 16 * 1024);
}

#[test]
fn commands_need_a_script_that_runs() {
    let sandbox = sandbox();
    let code = "local r = ... return 1";
    assert_eq!(run(&sandbox, code, false), ":1 ");
    let script = sandbox
        .compile(b"return redis.call('PING')".to_vec(), "@x")
        .expect("compiles");
    let script = sandbox.machine.keep(&sandbox.lua, &script).expect("room");
    let said = call(&sandbox, script, false);
    assert!(
        said.starts_with("!ERR redis.call can only be called inside"),
        "{said}"
    );
    let script = sandbox.compile(b"return redis.pcall('PING', {})".to_vec(), "@x");
    let script = sandbox
        .machine
        .keep(&sandbox.lua, &script.expect("compiles"))
        .expect("room");
    let said = call(&sandbox, script, false);
    assert!(
        said.starts_with("-ERR Lua redis lib command arguments must be"),
        "{said}"
    );
}
