//! `CLIENT KILL`, old form and new.

use super::filter::{Asker, Filter};
use crate::execute::{After, SessionContext};
use crate::protocol::{Args, Reply, WireError};

pub(super) fn kill(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.len() == 3 {
        return match end_all(context, &Filter::addressed(args.at(2))) {
            0 => Err(WireError::fixed("ERR No such client")),
            _ => {
                reply.ok();
                Ok(())
            }
        };
    }
    let filter = Filter::parse(context, args, Asker::Kill)?;
    let ended = end_all(context, &filter);
    reply.int(ended);
    Ok(())
}

/// Ends the connections that fit and says how many.
fn end_all(context: &mut SessionContext<'_>, filter: &Filter<'_>) -> i64 {
    context.client.publish();
    let spares_oneself = filter.spares_oneself.unwrap_or(true);
    let mut ended = 0;
    for client in context.server.clients.all() {
        let oneself = client.id == context.client.id;
        if oneself && spares_oneself || !filter.fits(&client, context.now) {
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
