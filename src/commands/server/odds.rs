//! TIME, LASTSAVE, LOLWUT.

use crate::execute::SessionContext;
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::server::COMPATIBLE_VERSION;

/// Not the time of the batch: whoever asks wants to know it precisely.
pub(super) fn time(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let now = crate::time::unix_micros();
    reply.array(2);
    reply.int_bulk((now / 1_000_000) as i64);
    reply.int_bulk((now % 1_000_000) as i64);
    Ok(())
}

pub(super) fn lolwut(
    _context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.is(1, "version") && args.len() >= 3 {
        parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    }
    let mut picture = String::new();
    for step in [0, 4, 8] {
        let indent = " ".repeat(step);
        picture.push_str(&format!("{indent}o  o  o\n{indent}|\\ |\\ |\\\n"));
    }
    reply.verbatim(
        "txt",
        &format!(
            "{picture}\nAll feet at once. Lockstep {} (Redis ver. {COMPATIBLE_VERSION})\n",
            env!("CARGO_PKG_VERSION")
        ),
    );
    Ok(())
}
