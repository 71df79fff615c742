//! `CLIENT KILL`, old form and new.

use super::list::client_kind;
use crate::execute::{After, SessionContext};
use crate::net::{ClientInfo, ClientKind};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::time::UnixMs;

pub(super) fn kill(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.len() == 3 {
        let filter = Filter {
            addr: Some(args.at(2)),
            spare_oneself: false,
            ..Filter::default()
        };
        return match end_all(context, &filter) {
            0 => Err(WireError::fixed("ERR No such client")),
            _ => {
                reply.ok();
                Ok(())
            }
        };
    }
    let filter = Filter::parse(args)?;
    let ended = end_all(context, &filter);
    reply.int(ended);
    Ok(())
}

/// Which connections to end: those that fit every condition given.
struct Filter<'a> {
    ids: Vec<u64>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    kind: Option<ClientKind>,
    user: Option<&'a [u8]>,
    min_age_seconds: Option<i64>,
    spare_oneself: bool,
}

impl Default for Filter<'_> {
    fn default() -> Self {
        Filter {
            ids: Vec::new(),
            addr: None,
            laddr: None,
            kind: None,
            user: None,
            min_age_seconds: None,
            spare_oneself: true,
        }
    }
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Self, WireError> {
        let mut filter = Filter::default();
        let mut at = 2;
        while at < args.len() {
            let value = args.get(at + 1).ok_or(errors::SYNTAX)?;
            if args.is(at, "id") {
                let id = parse_i64(value).filter(|id| *id > 0);
                let id = id.ok_or(WireError::fixed("ERR client-id should be greater than 0"))?;
                filter.ids.push(id as u64);
            } else if args.is(at, "maxage") {
                let age = parse_i64(value).ok_or(BAD_AGE)?;
                if age <= 0 {
                    return Err(WireError::fixed("ERR maxage should be greater than 0"));
                }
                filter.min_age_seconds = Some(age);
            } else if args.is(at, "type") {
                filter.kind = Some(client_kind(value)?);
            } else if args.is(at, "addr") {
                filter.addr = Some(value);
            } else if args.is(at, "laddr") {
                filter.laddr = Some(value);
            } else if args.is(at, "user") {
                if value != super::auth::DEFAULT_USER.as_bytes() {
                    return Err(WireError::quoting("ERR No such user '", value, "'"));
                }
                filter.user = Some(value);
            } else if args.is(at, "skipme") {
                filter.spare_oneself = match value {
                    yes if yes.eq_ignore_ascii_case(b"yes") => true,
                    no if no.eq_ignore_ascii_case(b"no") => false,
                    _ => return Err(errors::SYNTAX),
                };
            } else {
                return Err(errors::SYNTAX);
            }
            at += 2;
        }
        Ok(filter)
    }

    fn fits(&self, client: &ClientInfo, now: UnixMs) -> bool {
        (self.ids.is_empty() || self.ids.contains(&client.id))
            && self.addr.is_none_or(|addr| addr == client.addr.as_bytes())
            && self
                .laddr
                .is_none_or(|addr| addr == client.laddr.as_bytes())
            && self.kind.is_none_or(|kind| kind == client.kind())
            && self
                .user
                .is_none_or(|user| user == client.names.lock().user.as_bytes())
            && self
                .min_age_seconds
                .is_none_or(|age| (now - client.created_ms) / 1000 >= age)
    }
}

/// Ends the connections that fit and says how many.
fn end_all(context: &mut SessionContext<'_>, filter: &Filter<'_>) -> i64 {
    let mut ended = 0;
    for client in context.server.clients.all() {
        let oneself = client.id == context.client.id;
        if oneself && filter.spare_oneself || !filter.fits(&client, context.now) {
            continue;
        }
        ended += 1;
        if oneself {
            // Its reply still goes out.
            context.after = After::Close;
        } else {
            client.kill();
        }
    }
    ended
}

const BAD_AGE: WireError = WireError::fixed("ERR maxage is not an integer or out of range");
