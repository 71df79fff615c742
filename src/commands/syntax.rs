//! The one-line notation in which commands declare their arguments, and the tree behind it.
//!
//! The notation is that of the documentation:
//!
//! ```text
//! key                    an argument; its type follows from its name (see `type_of`)
//! NX                     a word to be given as it is
//! EX seconds             an argument after a word
//! [ .. ]                 optional
//! < a | b >, [ a | b ]   one of several
//! key [key ...]          one or more
//! field value [field value ...]      one or more pairs
//! GET pattern [GET pattern ...]      one or more, each with its word
//! < a | b > ...          one or more
//! ```
//!
//! `COMMAND DOCS` also names the groups and knows a few things that the notation does not
//! show. They stand in a note in braces right after the element, and [`documented`] leaves
//! them out:
//!
//! ```text
//! [NX | XX]{condition}   the group's name
//! pattern{by-pattern}    a name other than what is shown
//! start{:string}         a type other than that of the name
//! EX seconds{@2.6.12}    the version that added it; {~2.8.12}: that deprecated it
//! numfields{#0}          the key spec it belongs to, where counting keys is wrong
//! [LIMIT offset count]            a block named `limit` that begins with the word
//! [TO host port]{+target}         the same under another name
//! [COUNT count [ANY]]{count-block}   a block whose first argument has the word
//! ```
//!
//! Parsing happens for `COMMAND DOCS` and in tests, never on the way of a request.

use std::fmt;

/// One node of a command's argument tree, as `COMMAND DOCS` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument<'a> {
    /// Its name in the tree.
    pub name: String,
    /// What may stand there.
    pub kind: Kind,
    /// What the documentation shows; groups have none.
    pub display: Option<String>,
    /// The word before it, or the word itself for a pure token.
    pub token: Option<&'a str>,
    /// The version that added it to the command.
    pub since: Option<&'a str>,
    /// The version that deprecated it.
    pub deprecated_since: Option<&'a str>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// The token is repeated as well.
    pub multiple_token: bool,
    /// Which of the command's key specs finds it.
    pub key_spec: Option<u8>,
    /// The members of a `oneof` or a `block`.
    pub arguments: Vec<Argument<'a>>,
}

/// The type of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl Kind {
    /// As `COMMAND DOCS` spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::Key => "key",
            Kind::Pattern => "pattern",
            Kind::UnixTime => "unix-time",
            Kind::PureToken => "pure-token",
            Kind::OneOf => "oneof",
            Kind::Block => "block",
        }
    }

    fn by_name(name: &str) -> Option<Kind> {
        let all = [
            Kind::String,
            Kind::Integer,
            Kind::Double,
            Kind::Key,
            Kind::Pattern,
            Kind::UnixTime,
        ];
        all.into_iter().find(|kind| kind.name() == name)
    }
}

/// The type that an argument of this name has unless a note says otherwise.
fn type_of(name: &str) -> Kind {
    match name {
        "key" | "key1" | "key2" | "keys" | "newkey" | "destkey" | "sourcekey" | "storekey"
        | "storedistkey" | "destination" | "source" | "dst" | "src" => Kind::Key,
        "pattern" | "by-pattern" | "get-pattern" => Kind::Pattern,
        "unix-time-seconds" | "unix-time-milliseconds" => Kind::UnixTime,
        "timeout" | "radius" | "longitude" | "latitude" | "width" | "height" | "score" => {
            Kind::Double
        }
        "db" | "destination-db" | "index" | "index1" | "index2" | "bit" | "bits" | "count"
        | "offset" | "start" | "end" | "stop" | "limit" | "rank" | "len" | "increment"
        | "decrement" | "weight" | "cursor" | "version" | "protover" | "client-id" | "maxage"
        | "ttl" | "seconds" | "milliseconds" | "ms" | "frequency" | "numkeys" | "numfields"
        | "numids" | "numreplicas" | "numlocal" | "num-matches" | "min-match-len"
        | "entries-added" | "entriesread" | "port" | "slot" | "start-slot" | "end-slot"
        | "cluster-bus-port" | "config-epoch" => Kind::Integer,
        _ => Kind::String,
    }
}

/// A declaration that does not follow the notation: a mistake of ours, found by a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Bytes from the start of the line.
    pub at: usize,
    /// What was wrong.
    pub what: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.at, self.what)
    }
}

impl std::error::Error for SyntaxError {}

/// The argument tree of a `syntax` line.
///
/// # Errors
/// If the line does not follow the notation.
pub fn parse(line: &str) -> Result<Vec<Argument<'_>>, SyntaxError> {
    let mut parser = Parser {
        tokens: lex(line)?,
        next: 0,
        end: line.len(),
    };
    let mut arguments = parser.sequence()?;
    if parser.peek().is_some() {
        return Err(parser.error("a closing bracket or bar without its opening"));
    }
    number_keys(&mut arguments, &mut 0);
    Ok(arguments)
}

/// The line as the documentation prints it: without notes, and without the angle brackets
/// that only hold a note's element together.
pub fn documented(line: &str) -> String {
    let Ok(tokens) = lex(line) else {
        return line.to_owned();
    };
    let mut out = String::with_capacity(line.len());
    // For each open angle bracket: where it was written and whether a bar has been seen.
    let mut open: Vec<(usize, bool)> = Vec::new();
    for (_, token) in tokens {
        let glued = out.is_empty() || out.ends_with(['[', '<']);
        let text = match token {
            Token::Note(_) => continue,
            Token::Open('<') => {
                if !glued {
                    out.push(' ');
                }
                open.push((out.len(), false));
                out.push('<');
                continue;
            }
            Token::Close('>') => {
                match open.pop() {
                    Some((at, false)) => drop(out.remove(at)),
                    _ => out.push('>'),
                }
                continue;
            }
            Token::Open(_) => "[",
            Token::Close(_) => {
                out.push(']');
                continue;
            }
            Token::Bar => {
                if let Some(innermost) = open.last_mut() {
                    innermost.1 = true;
                }
                "|"
            }
            Token::Dots => "...",
            Token::Word(word) => word,
        };
        if !glued {
            out.push(' ');
        }
        out.push_str(text);
    }
    out
}

/// Keys take the specs in order, where no note says otherwise.
fn number_keys(arguments: &mut [Argument<'_>], next: &mut u8) {
    for argument in arguments {
        if argument.kind == Kind::Key && argument.key_spec.is_none() {
            argument.key_spec = Some(*next);
            *next += 1;
        }
        number_keys(&mut argument.arguments, next);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Note(&'a str),
    Open(char),
    Close(char),
    Bar,
    Dots,
}

fn lex(line: &str) -> Result<Vec<(usize, Token<'_>)>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = line[at..].chars().next() {
        let rest = &line[at..];
        let (token, len) = match c {
            ' ' => {
                at += 1;
                continue;
            }
            '[' | '<' => (Token::Open(c), 1),
            ']' | '>' => (Token::Close(c), 1),
            '|' => (Token::Bar, 1),
            '{' => match rest.find('}') {
                Some(end) => (Token::Note(&rest[1..end]), end + 1),
                None => {
                    return Err(SyntaxError {
                        at,
                        what: "a note without its end",
                    });
                }
            },
            _ => {
                let end = rest
                    .find([' ', '[', ']', '<', '>', '|', '{'])
                    .unwrap_or(rest.len());
                match &rest[..end] {
                    "..." => (Token::Dots, 3),
                    word => (Token::Word(word), end),
                }
            }
        };
        tokens.push((at, token));
        at += len;
    }
    Ok(tokens)
}

/// Whether a word is given as it is, rather than standing for a value.
fn is_token(word: &str) -> bool {
    !word.contains(|c: char| c.is_ascii_lowercase())
}

struct Parser<'a> {
    tokens: Vec<(usize, Token<'a>)>,
    next: usize,
    end: usize,
}

/// What a note says about its element.
#[derive(Default)]
struct Note<'a> {
    name: Option<&'a str>,
    token_leads_block: bool,
    kind: Option<Kind>,
    since: Option<&'a str>,
    deprecated_since: Option<&'a str>,
    key_spec: Option<u8>,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.next).map(|&(_, token)| token)
    }

    fn error(&self, what: &'static str) -> SyntaxError {
        let at = self.tokens.get(self.next).map_or(self.end, |&(at, _)| at);
        SyntaxError { at, what }
    }

    fn take(&mut self, token: Token<'a>) -> bool {
        let found = self.peek() == Some(token);
        self.next += usize::from(found);
        found
    }

    /// Elements up to a bar, a closing bracket, dots, or the end.
    fn sequence(&mut self) -> Result<Vec<Argument<'a>>, SyntaxError> {
        let mut out: Vec<Argument<'a>> = Vec::new();
        loop {
            match self.peek() {
                None | Some(Token::Bar | Token::Close(_) | Token::Dots) => return Ok(out),
                Some(Token::Note(_)) => return Err(self.error("a note without its element")),
                Some(Token::Word(word)) if is_token(word) => {
                    self.next += 1;
                    let argument = self.after_token(word)?;
                    out.push(argument);
                }
                Some(Token::Word(word)) => {
                    self.next += 1;
                    let argument = value(word);
                    out.push(self.noted(argument)?);
                }
                Some(Token::Open('<')) => {
                    let argument = self.angle(None)?;
                    out.push(argument);
                }
                Some(Token::Open(_)) => self.square(&mut out)?,
            }
        }
    }

    /// What follows the word `token`: its value, its choices, or nothing.
    fn after_token(&mut self, token: &'a str) -> Result<Argument<'a>, SyntaxError> {
        match self.peek() {
            Some(Token::Word(word)) if !is_token(word) => {
                self.next += 1;
                let argument = Argument {
                    token: Some(token),
                    ..value(word)
                };
                self.noted(argument)
            }
            Some(Token::Open('<')) => self.angle(Some(token)),
            _ => {
                let name = token.to_ascii_lowercase();
                let argument = Argument {
                    kind: Kind::PureToken,
                    display: Some(name.clone()),
                    token: Some(token),
                    ..blank(name)
                };
                self.noted(argument)
            }
        }
    }

    /// `< .. >`, after the word `token` if there was one.
    fn angle(&mut self, token: Option<&'a str>) -> Result<Argument<'a>, SyntaxError> {
        self.next += 1;
        let alternatives = self.alternatives()?;
        if !self.take(Token::Close('>')) {
            return Err(self.error("an angle bracket that is not closed"));
        }
        let multiple = self.take(Token::Dots);
        let note = self.note()?;
        let mut argument = self.group(alternatives, token, note)?;
        argument.multiple |= multiple;
        Ok(argument)
    }

    /// `[ .. ]`: an optional element, or the repetition of what came before it.
    fn square(&mut self, before: &mut Vec<Argument<'a>>) -> Result<(), SyntaxError> {
        self.next += 1;
        let mut alternatives = self.alternatives()?;
        let repeats = self.take(Token::Dots);
        if !self.take(Token::Close(']')) {
            return Err(self.error("a square bracket that is not closed"));
        }
        let note = self.note()?;
        if !repeats {
            let group = self.group(alternatives, None, note)?;
            before.push(Argument {
                optional: true,
                ..group
            });
            return Ok(());
        }
        let (Some(again), true) = (alternatives.pop(), alternatives.is_empty()) else {
            return Err(self.error("a repetition is one sequence"));
        };
        let first = before
            .len()
            .checked_sub(again.len())
            .filter(|&first| same_shape(&before[first..], &again))
            .ok_or_else(|| self.error("a repetition of something else"))?;
        let repeated = before.split_off(first);
        let multiple_token = again[0].token.is_some();
        let mut argument = self.group(vec![repeated], None, note)?;
        argument.multiple = true;
        argument.multiple_token = multiple_token && argument.token.is_some();
        before.push(argument);
        Ok(())
    }

    fn alternatives(&mut self) -> Result<Vec<Vec<Argument<'a>>>, SyntaxError> {
        let mut out = vec![self.sequence()?];
        while self.take(Token::Bar) {
            out.push(self.sequence()?);
        }
        if out.iter().any(Vec::is_empty) {
            return Err(self.error("an empty alternative"));
        }
        Ok(out)
    }

    /// Makes one argument of a bracket's contents.
    fn group(
        &self,
        mut alternatives: Vec<Vec<Argument<'a>>>,
        token: Option<&'a str>,
        note: Note<'a>,
    ) -> Result<Argument<'a>, SyntaxError> {
        if alternatives.len() == 1 {
            let mut only = alternatives.swap_remove(0);
            let mut argument = if only.len() == 1 {
                only.swap_remove(0)
            } else {
                self.block(only, token.is_some(), &note)?
            };
            if token.is_some() {
                argument.token = token;
            }
            return Ok(note.apply(argument));
        }
        let name = match (note.name, token) {
            (Some(name), _) => name.to_owned(),
            (None, Some(token)) => token.to_ascii_lowercase(),
            (None, None) => return Err(self.error("a choice without a name")),
        };
        let mut members = Vec::with_capacity(alternatives.len());
        for mut alternative in alternatives {
            members.push(if alternative.len() == 1 {
                alternative.swap_remove(0)
            } else {
                self.block(alternative, false, &Note::default())?
            });
        }
        let choice = Argument {
            kind: Kind::OneOf,
            token,
            arguments: members,
            ..blank(name)
        };
        Ok(note.apply(choice))
    }

    /// Several arguments as one. Without a name of its own it is named by the word that it
    /// begins with, which then belongs to the whole.
    fn block(
        &self,
        mut members: Vec<Argument<'a>>,
        has_token: bool,
        note: &Note<'a>,
    ) -> Result<Argument<'a>, SyntaxError> {
        let mut token = None;
        if !has_token && (note.name.is_none() || note.token_leads_block) {
            match members.first_mut() {
                Some(first) if first.kind != Kind::PureToken => token = first.token.take(),
                _ => {}
            }
        }
        let name = match (note.name, token) {
            (Some(name), _) => name.to_owned(),
            (None, Some(token)) => token.to_ascii_lowercase(),
            (None, None) => return Err(self.error("a block without a name")),
        };
        Ok(Argument {
            kind: Kind::Block,
            token,
            arguments: members,
            ..blank(name)
        })
    }

    fn noted(&mut self, argument: Argument<'a>) -> Result<Argument<'a>, SyntaxError> {
        Ok(self.note()?.apply(argument))
    }

    fn note(&mut self) -> Result<Note<'a>, SyntaxError> {
        let mut note = Note::default();
        let Some(Token::Note(text)) = self.peek() else {
            return Ok(note);
        };
        for word in text.split_ascii_whitespace() {
            match word.split_at(1) {
                ("+", name) => (note.name, note.token_leads_block) = (Some(name), true),
                ("@", version) => note.since = Some(version),
                ("~", version) => note.deprecated_since = Some(version),
                (":", kind) => {
                    let kind = Kind::by_name(kind);
                    note.kind = Some(kind.ok_or_else(|| self.error("an unknown type"))?);
                }
                ("#", index) => {
                    let index = index
                        .parse()
                        .map_err(|_| self.error("an index is a number"))?;
                    note.key_spec = Some(index);
                }
                _ => note.name = Some(word),
            }
        }
        self.next += 1;
        Ok(note)
    }
}

impl<'a> Note<'a> {
    fn apply(self, mut argument: Argument<'a>) -> Argument<'a> {
        let is_value = argument.display.is_some() && argument.kind != Kind::PureToken;
        if let Some(name) = self.name {
            argument.name = name.to_owned();
            if is_value {
                argument.kind = type_of(name);
            } else if argument.kind == Kind::PureToken {
                argument.display = Some(argument.name.clone());
            }
        }
        argument.kind = self.kind.unwrap_or(argument.kind);
        argument.since = self.since.or(argument.since);
        argument.deprecated_since = self.deprecated_since.or(argument.deprecated_since);
        argument.key_spec = self.key_spec.or(argument.key_spec);
        argument
    }
}

fn blank<'a>(name: String) -> Argument<'a> {
    Argument {
        name,
        kind: Kind::String,
        display: None,
        token: None,
        since: None,
        deprecated_since: None,
        optional: false,
        multiple: false,
        multiple_token: false,
        key_spec: None,
        arguments: Vec::new(),
    }
}

fn value<'a>(word: &str) -> Argument<'a> {
    Argument {
        kind: type_of(word),
        display: Some(word.to_owned()),
        ..blank(word.to_owned())
    }
}

/// Whether a repetition shows what it repeats. The word before the first may be missing in
/// the repetition: `STREAMS key [key ...]`.
fn same_shape(first: &[Argument<'_>], again: &[Argument<'_>]) -> bool {
    !again.is_empty()
        && first.iter().zip(again).all(|(a, b)| {
            a.display == b.display
                && (b.token.is_none() || a.token == b.token)
                && a.arguments.len() == b.arguments.len()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree in one line: `name:type` with `?` optional, `*` multiple, `=TOKEN`.
    fn shape(arguments: &[Argument<'_>]) -> String {
        let one = |a: &Argument<'_>| {
            let mut out = format!("{}:{}", a.name, a.kind.name());
            if let Some(token) = a.token {
                out += &format!("={token}");
            }
            out += if a.optional { "?" } else { "" };
            out += if a.multiple { "*" } else { "" };
            out += if a.multiple_token { "t" } else { "" };
            if !a.arguments.is_empty() {
                out += &format!("({})", shape(&a.arguments));
            }
            out
        };
        arguments.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn trees() {
        for (line, expected) in [
            ("", ""),
            ("key [key ...]", "key:key*"),
            ("[key [key ...]]", "key:key?*"),
            ("EX seconds", "seconds:integer=EX"),
            (
                "[NX | XX]{condition}",
                "condition:oneof?(nx:pure-token=NX xx:pure-token=XX)",
            ),
            (
                "field value [field value ...]{data}",
                "data:block*(field:string value:string)",
            ),
            (
                "<FIELDS numfields field [field ...]>",
                "fields:block=FIELDS(numfields:integer field:string*)",
            ),
            (
                "[COUNT count [ANY]]{count-block}",
                "count-block:block?(count:integer=COUNT any:pure-token=ANY?)",
            ),
            (
                "[TO host port]{+target}",
                "target:block=TO?(host:string port:integer)",
            ),
            (
                "[PREFIX prefix [PREFIX prefix ...]]",
                "prefix:string=PREFIX?*t",
            ),
            (
                "<<host port>{host-port} | <NO ONE>{no-one}>{args}",
                "args:oneof(host-port:block(host:string port:integer) \
                 no-one:block(no:pure-token=NO one:pure-token=ONE))",
            ),
            (
                "[TYPE <NORMAL | PUBSUB>{client-type}]",
                "client-type:oneof=TYPE?(normal:pure-token=NORMAL pubsub:pure-token=PUBSUB)",
            ),
            (
                "<A | B> ...{many}",
                "many:oneof*(a:pure-token=A b:pure-token=B)",
            ),
        ] {
            let tree = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(shape(&tree), expected, "{line}");
        }
    }

    #[test]
    fn notes() {
        let tree = parse("pattern{by-pattern @2.0.0 #1} start{:string}").expect("a good line");
        assert_eq!(tree[0].name, "by-pattern");
        assert_eq!(tree[0].display.as_deref(), Some("pattern"));
        assert_eq!(tree[0].since, Some("2.0.0"));
        assert_eq!(tree[0].key_spec, Some(1));
        assert_eq!(tree[1].kind, Kind::String);
    }

    #[test]
    fn keys_are_numbered_in_order() {
        let tree = parse("key newkey [DB destination-db]").expect("a good line");
        assert_eq!((tree[0].key_spec, tree[1].key_spec), (Some(0), Some(1)));
    }

    #[test]
    fn mistakes() {
        for line in [
            "[key",
            "key]",
            "<a | b>",
            "a [b ...]",
            "[]",
            "{x}",
            "key{x",
            "a{:nothing}",
            "[a b]",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn without_notes() {
        let line =
            "key <FIELDS numfields field [field ...]> [NX | XX]{condition @7.0.0} <a | b>{c}";
        let expected = "key FIELDS numfields field [field ...] [NX | XX] <a | b>";
        assert_eq!(documented(line), expected);
    }
}
