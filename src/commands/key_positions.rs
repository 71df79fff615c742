//! Which arguments of a request are keys.

use super::spec::{BeginSearch, FindKeys, KeySpec};

/// The old first/last/step triple: the runs at fixed positions that touch each other,
/// taken as one. All 0 if there is none.
pub fn legacy_range(keys: &[KeySpec]) -> (i64, i64, i64) {
    let mut whole = (0, 0, 0);
    for key in keys {
        let (BeginSearch::Index(first), FindKeys::Range { last, step, .. }) = (key.begin, key.find)
        else {
            continue;
        };
        let (first, step) = (i64::from(first), i64::from(step));
        let last = if last < 0 {
            i64::from(last)
        } else {
            first + i64::from(last)
        };
        if whole.0 == 0 {
            whole = (first, last, step);
        } else if whole.1 >= 0 && first == whole.1 + 1 && step == whole.2 {
            whole.1 = last;
        }
    }
    whole
}
