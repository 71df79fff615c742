//! What a configuration asks for that must stop the start: to go on without it would serve
//! clients who ought to be refused, or not at all.

use crate::commands::renames;
use crate::config::Loaded;
use std::fmt::Write;

/// Puts the renames of commands in force and refuses what cannot be left out silently.
///
/// # Errors
/// The line or option, and why.
pub fn check(loaded: &Loaded) -> Result<(), String> {
    let config = loaded.handle.current();
    renames::settle(&loaded.renames).map_err(|(place, why)| {
        let (from, to) = &loaded.renames[place];
        line(&[b"rename-command".to_vec(), from.clone(), to.clone()], why)
    })?;
    let password = config.requirepass.is_some();
    for user in &loaded.users {
        if !may_do_everything(user, password) {
            return Err(line(user, NO_USERS));
        }
    }
    let option = |name: &str| {
        let values = loaded.handle.get(&[name.as_bytes()]);
        values.into_iter().next().map_or(Vec::new(), |(_, v)| v)
    };
    for (name, harmless, why) in REFUSED {
        let value = option(name);
        if value != harmless.as_bytes() {
            return Err(line(&[name.as_bytes().to_vec(), value], why));
        }
    }
    Ok(())
}

/// Whether a `user` line says what holds here without it: the default user may do
/// everything. Redis writes such a line at `CONFIG REWRITE`. Passwords are those of
/// `requirepass`, where there is one; others do not work then, which is safe.
fn may_do_everything(words: &[Vec<u8>], password: bool) -> bool {
    let [_, name, rules @ ..] = words else {
        return false;
    };
    let on = rules.iter().any(|rule| rule.eq_ignore_ascii_case(b"on"));
    let known = |rule: &Vec<u8>| match rule.to_ascii_lowercase().as_slice() {
        b"on"
        | b"nopass"
        | b"sanitize-payload"
        | b"skip-sanitize-payload"
        | b"~*"
        | b"allkeys"
        | b"&*"
        | b"allchannels"
        | b"+@all"
        | b"allcommands" => true,
        [b'#' | b'>', ..] => password,
        _ => false,
    };
    name == b"default" && on && rules.iter().all(known)
}

fn line(words: &[Vec<u8>], why: &str) -> String {
    let mut text = String::from(">>> '");
    for (index, word) in words.iter().enumerate() {
        let gap = if index == 0 { "" } else { " " };
        let word = match word.as_slice() {
            [] => "\"\"".into(),
            // A password has no place in a log.
            [b'#' | b'>', ..] => "(password)".into(),
            word => String::from_utf8_lossy(word),
        };
        // Writing to a string does not fail.
        let _ = write!(text, "{gap}{word}");
    }
    format!("{text}'\n{why}")
}

const NO_USERS: &str = "Users and their rights are not built yet: without them this server would \
     let in whom the line keeps out. Only a default user that may do everything can be declared";

/// Options that are refused unless they have the value in the middle.
const REFUSED: [(&str, &str, &str); 3] = [
    ("aclfile", "", NO_USERS),
    ("tls-port", "0", "TLS is not built yet"),
    ("cluster-enabled", "no", "Cluster mode is not built yet"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_text;

    fn refusal(text: &str) -> Option<String> {
        check(&load_text(text.as_bytes(), None).unwrap()).err()
    }

    #[test]
    fn users_with_fewer_rights_are_refused() {
        assert_eq!(
            refusal("user default on nopass sanitize-payload ~* &* +@all"),
            None
        );
        assert_eq!(
            refusal("requirepass a\nuser default on #12 ~* &* +@all"),
            None
        );
        for text in [
            "user default on #12 ~* &* +@all",
            "user default off",
            "user default on nopass ~a* &* +@all",
            "user app on nopass ~* +@all",
            "aclfile /etc/redis/users.acl",
            "tls-port 6380",
            "cluster-enabled yes",
        ] {
            assert!(refusal(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_refusal_names_the_line() {
        let wanted = ">>> 'rename-command nosuch \"\"'\nNo such command in rename-command";
        assert_eq!(
            refusal("rename-command nosuch \"\"").as_deref(),
            Some(wanted)
        );
        let shown = refusal("user app on >secret ~* +@all").unwrap();
        assert!(
            shown.starts_with(">>> 'user app on (password) ~* +@all'\n"),
            "{shown}"
        );
    }
}
