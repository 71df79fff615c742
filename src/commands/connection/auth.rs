//! AUTH and HELLO.
//!
//! There is one user, `default`, whose password is `requirepass`. Without one, it may log in
//! with any password, as in Redis.

use super::client::{set_name, valid_label};
use crate::execute::SessionContext;
use crate::net::Client;
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::server::{COMPATIBLE_VERSION, Server};
use std::sync::atomic::Ordering;

/// The name of the only user.
pub(super) const DEFAULT_USER: &str = "default";

pub(super) fn auth(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let (user, password) = match args.len() {
        2 if !context.server.requires_password() => return Err(NO_PASSWORD_SET),
        2 => (DEFAULT_USER.as_bytes(), args.at(1)),
        3 => (args.at(1), args.at(2)),
        _ => return Err(errors::SYNTAX),
    };
    log_in(context.server, context.client, user, password)?;
    reply.ok();
    Ok(())
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`. Nothing changes unless all of it
/// can be done.
pub(super) fn hello(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let resp3 = match args.get(1).map(parse_i64) {
        None => context.client.resp3,
        Some(Some(2)) => false,
        Some(Some(3)) => true,
        Some(Some(_)) => return Err(errors::NO_PROTO),
        Some(None) => {
            return Err(WireError::fixed(
                "ERR Protocol version is not an integer or out of range",
            ));
        }
    };
    let options = HelloOptions::parse(args)?;
    if let Some((user, password)) = options.login {
        log_in(context.server, context.client, user, password)?;
    }
    if !context.client.authenticated {
        return Err(HELLO_NEEDS_AUTH);
    }
    if let Some(name) = options.name {
        set_name(context.client, name);
    }
    context.client.resp3 = resp3;
    reply.set_resp3(resp3);
    introduce(context, reply);
    Ok(())
}

#[derive(Default)]
struct HelloOptions<'a> {
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

impl<'a> HelloOptions<'a> {
    fn parse(args: Args<'a>) -> Result<Self, WireError> {
        let mut options = HelloOptions::default();
        let mut at = 2;
        while at < args.len() {
            if args.is(at, "auth") && at + 2 < args.len() {
                options.login = Some((args.at(at + 1), args.at(at + 2)));
                at += 3;
            } else if args.is(at, "setname") && at + 1 < args.len() {
                let name = args.at(at + 1);
                if !valid_label(name) {
                    return Err(super::client::BAD_NAME);
                }
                options.name = Some(name);
                at += 2;
            } else {
                return Err(WireError::quoting(
                    "ERR Syntax error in HELLO option '",
                    args.at(at),
                    "'",
                ));
            }
        }
        Ok(options)
    }
}

/// What HELLO tells of the server.
fn introduce(context: &SessionContext<'_>, reply: &mut Reply<'_>) {
    let zone = &context.server.config.current().availability_zone;
    reply.map(7 + usize::from(!zone.is_empty()));
    reply.bulk_str("server");
    // Client libraries compare this with the names they know.
    reply.bulk_str("redis");
    reply.bulk_str("version");
    reply.bulk_str(COMPATIBLE_VERSION);
    reply.bulk_str("proto");
    reply.int(if context.client.resp3 { 3 } else { 2 });
    reply.bulk_str("id");
    reply.int(context.client.id as i64);
    reply.bulk_str("mode");
    reply.bulk_str("standalone");
    reply.bulk_str("role");
    reply.bulk_str(if context.server.replication.is_replica() {
        "replica"
    } else {
        "master"
    });
    reply.bulk_str("modules");
    reply.array(0);
    if !zone.is_empty() {
        reply.bulk_str("availability_zone");
        reply.bulk_str(zone);
    }
}

fn log_in(
    server: &Server,
    client: &mut Client,
    user: &[u8],
    password: &[u8],
) -> Result<(), WireError> {
    let matches = match &server.config.current().requirepass {
        Some(wanted) => same_secret(wanted, password),
        None => true,
    };
    if user != DEFAULT_USER.as_bytes() || !matches {
        server.stats.denied_logins.fetch_add(1, Ordering::Relaxed);
        return Err(errors::WRONG_PASS);
    }
    client.authenticated = true;
    Ok(())
}

/// Compares without telling by its duration how much of a guess was right.
fn same_secret(wanted: &[u8], given: &[u8]) -> bool {
    use sha1::{Digest, Sha1};
    let (wanted, given) = (Sha1::digest(wanted), Sha1::digest(given));
    wanted.iter().zip(given).fold(0, |d, (a, b)| d | (a ^ b)) == 0
}

const NO_PASSWORD_SET: WireError = WireError::fixed(
    "ERR AUTH <password> called without any password configured for the default user. \
     Are you sure your configuration is correct?",
);

const HELLO_NEEDS_AUTH: WireError = WireError::fixed(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
     <proto> AUTH <user> <pass> option can be used to authenticate the client and select the \
     RESP protocol version at the same time",
);
