//! `LCS`: the longest common subsequence of two strings.

use crate::commands::arguments::Arguments;
use crate::execute::ReadContext;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::lcs::{self, TooLarge};

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]`
pub(super) fn lcs(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    // Both keys are looked up before either's type counts.
    let (a, b) = (ctx.string(args.at(1)), ctx.string(args.at(2)));
    let (Ok(a), Ok(b)) = (a, b) else {
        return Err(errors::LCS_NEEDS_STRINGS);
    };
    let options = Options::parse(args)?;
    let (mut a_digits, mut b_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
    let a = a.as_ref().map_or(&b""[..], |a| a.bytes(&mut a_digits));
    let b = b.as_ref().map_or(&b""[..], |b| b.bytes(&mut b_digits));
    lcs::check_size(a.len(), b.len(), ctx.settings().max_bulk).map_err(|why| match why {
        TooLarge::String => errors::LCS_STRING_TOO_LONG,
        TooLarge::Table => errors::LCS_MEMORY,
    })?;
    if options.indexes {
        reply_matches(a, b, &options, reply);
    } else if options.length {
        reply.int(lcs::length(a, b) as i64);
    } else {
        reply.bulk(&lcs::string(a, b));
    }
    Ok(())
}

#[derive(Default)]
struct Options {
    length: bool,
    indexes: bool,
    with_lengths: bool,
    min_length: i64,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, WireError> {
        let mut this = Options::default();
        let mut options = Arguments::new(args, 3);
        while options.more() {
            if options.word("idx") {
                this.indexes = true;
            } else if options.word("len") {
                this.length = true;
            } else if options.word("withmatchlen") {
                this.with_lengths = true;
            } else if options.word("minmatchlen") {
                this.min_length = options.integer();
            } else {
                options.fail(errors::SYNTAX);
            }
        }
        options.finish()?;
        if this.indexes && this.length {
            return Err(errors::LCS_LENGTH_AND_INDEXES);
        }
        Ok(this)
    }
}

fn reply_matches(a: &[u8], b: &[u8], options: &Options, reply: &mut Reply<'_>) {
    let (mut matches, length) = lcs::matches(a, b);
    matches.retain(|found| found.a.len() as i64 >= options.min_length);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(matches.len());
    for found in &matches {
        reply.array(2 + usize::from(options.with_lengths));
        for range in [&found.a, &found.b] {
            reply.array(2);
            reply.int(range.start as i64);
            reply.int(range.end as i64 - 1);
        }
        if options.with_lengths {
            reply.int(found.a.len() as i64);
        }
    }
    reply.bulk(b"len");
    reply.int(length as i64);
}
