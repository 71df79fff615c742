//! Options that several stream commands have: trimming, and blocks of identities.

use super::{ids, texts};
use crate::execute::{Origin, Settings};
use crate::number;
use crate::protocol::{Args, WireError, errors};
use crate::values::stream::{NodeLimits, Refs, StreamId, Threshold, Trim};

/// The configured size of a node.
pub(super) fn node_limits(settings: &Settings) -> NodeLimits {
    NodeLimits {
        max_bytes: settings.stream_node_max_bytes,
        max_entries: settings.stream_node_max_entries,
    }
}

/// `KEEPREF`, `DELREF` or `ACKED`.
pub(super) fn refs(word: &[u8]) -> Option<Refs> {
    let all = [
        (&b"keepref"[..], Refs::Keep),
        (b"delref", Refs::Delete),
        (b"acked", Refs::Acknowledged),
    ];
    let found = all.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    found.map(|(_, refs)| *refs)
}

/// What precedes the identity of XADD, and all options of XTRIM.
#[derive(Default)]
pub(super) struct TrimOptions {
    /// `NOMKSTREAM`.
    pub no_make: bool,
    /// How to trim.
    pub trim: Option<Trim>,
    /// Whether it is said what becomes of references, which older servers do not understand.
    pub says_refs: bool,
    /// Where the identity stands (XADD).
    pub id_at: usize,
}

impl TrimOptions {
    /// Reads them from argument 2 on; for XADD up to something that is an identity.
    ///
    /// Redis tells its replicas and its file of approximate trimming as exact trimming that
    /// takes what was taken, and leaves the LIMIT there: in the log it means nothing.
    pub fn read(
        args: Args<'_>,
        adds: bool,
        settings: &Settings,
        origin: Origin,
    ) -> Result<Self, WireError> {
        let mut this = TrimOptions::default();
        let (mut threshold, mut approximate) = (None, false);
        let (mut limit, mut refs_given) = (None, None);
        let mut at = 2;
        while let Some(word) = args.get(at) {
            let next = args.get(at + 1);
            if adds && word == b"*" {
                break;
            }
            if (args.is(at, "maxlen") || args.is(at, "minid"))
                && let Some(mut text) = next
            {
                if threshold.is_some() {
                    return Err(texts::TWO_STRATEGIES);
                }
                at += 1;
                if let Some(behind) = args.get(at + 1)
                    && matches!(text, b"~" | b"=")
                {
                    approximate = text == b"~";
                    text = behind;
                    at += 1;
                }
                threshold = Some(read_threshold(word, text)?);
            } else if args.is(at, "limit")
                && let Some(text) = next
            {
                at += 1;
                let given = number::parse_i64(text).ok_or(errors::NOT_AN_INTEGER)?;
                limit = Some(u64::try_from(given).map_err(|_| texts::NEGATIVE_LIMIT)?);
            } else if adds && args.is(at, "nomkstream") {
                this.no_make = true;
            } else if let Some(given) = refs(word)
                && refs_given.is_none()
            {
                refs_given = Some(given);
            } else if adds {
                ids::parts(word).ok_or(texts::INVALID_ID)?;
                break;
            } else {
                return Err(errors::SYNTAX);
            }
            at += 1;
        }
        this.id_at = at;
        this.says_refs = refs_given.is_some();
        let Some(threshold) = threshold else {
            return match limit {
                Some(_) => Err(texts::LIMIT_ALONE),
                None if adds => Ok(this),
                None => Err(errors::SYNTAX),
            };
        };
        if limit.is_some() && !approximate && origin == Origin::Client {
            return Err(texts::LIMIT_EXACT);
        }
        this.trim = Some(Trim {
            threshold,
            approximate: approximate.then(|| limit.unwrap_or_else(|| usual_limit(settings))),
            refs: refs_given.unwrap_or_default(),
        });
        Ok(this)
    }
}

fn read_threshold(word: &[u8], text: &[u8]) -> Result<Threshold, WireError> {
    if word.eq_ignore_ascii_case(b"minid") {
        return ids::parse(text, 0).map(Threshold::MinId);
    }
    let given = number::parse_i64(text).ok_or(errors::NOT_AN_INTEGER)?;
    let max = u64::try_from(given).map_err(|_| texts::NEGATIVE_MAXLEN)?;
    Ok(Threshold::MaxLen(max))
}

/// How many entries approximate trimming removes at most when nothing is said.
fn usual_limit(settings: &Settings) -> u64 {
    match settings.stream_node_max_entries as u64 {
        0 => 10_000,
        entries => entries.saturating_mul(100).min(1_000_000),
    }
}

/// `[KEEPREF | DELREF | ACKED] IDS numids id [id ...]`, in any order.
pub(super) struct IdBlock {
    /// What becomes of references.
    pub refs: Refs,
    from: usize,
    /// How many identities there are.
    pub count: usize,
}

impl IdBlock {
    /// Reads the arguments from `at` on.
    pub fn read(args: Args<'_>, mut at: usize) -> Result<Self, WireError> {
        let (mut given, mut block) = (None, None);
        while let Some(word) = args.get(at) {
            if let Some(refs) = refs(word) {
                if given.replace(refs).is_some() {
                    return Err(errors::SYNTAX);
                }
                at += 1;
            } else if args.is(at, "ids") && at + 1 < args.len() {
                let count = number::parse_i64(args.at(at + 1));
                let count = count.and_then(|n| usize::try_from(n).ok());
                let count = count.filter(|n| *n > 0);
                let count = count.ok_or(texts::NUMIDS_NOT_POSITIVE)?;
                at += 2;
                if count > args.len() - at {
                    return Err(texts::TOO_FEW_IDS);
                }
                block = Some((at, count));
                at += count;
            } else {
                return Err(errors::SYNTAX);
            }
        }
        let (from, count) = block.ok_or(errors::SYNTAX)?;
        Ok(IdBlock {
            refs: given.unwrap_or_default(),
            from,
            count,
        })
    }

    /// The identities.
    pub fn ids(&self, args: Args<'_>) -> Result<Vec<StreamId>, WireError> {
        let texts = args.from(self.from).take(self.count);
        texts.map(|text| ids::parse(text, 0)).collect()
    }
}
