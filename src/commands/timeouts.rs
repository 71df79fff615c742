//! The timeouts of commands that wait.

use crate::number::{parse_f64, parse_i64};
use crate::protocol::WireError;
use crate::time::{self, Duration};

/// A timeout in seconds, with a fraction; `None` for ever.
///
/// # Errors
/// In Redis's words.
pub fn seconds(text: &[u8]) -> Result<Option<Duration>, WireError> {
    let seconds = match parse_f64(text) {
        Some(seconds) => seconds,
        // Redis reads more digits than a double has: what overflows here is out of range
        // there, and what vanishes here is a little there.
        None => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse::<f64>().ok())
            .filter(|seconds| !seconds.is_nan())
            .map(|seconds| {
                if seconds == 0.0 {
                    f64::MIN_POSITIVE
                } else {
                    seconds
                }
            })
            .ok_or(NOT_A_FLOAT)?,
    };
    let ms = (seconds * 1000.0).ceil();
    // The first double beyond what the timeout is kept in.
    if ms >= i64::MAX as f64 {
        return Err(OUT_OF_RANGE);
    }
    within_time(ms as i64)
}

/// A timeout in milliseconds; `None` for ever.
///
/// # Errors
/// In Redis's words.
pub fn milliseconds(text: &[u8]) -> Result<Option<Duration>, WireError> {
    within_time(parse_i64(text).ok_or(NOT_AN_INTEGER)?)
}

fn within_time(ms: i64) -> Result<Option<Duration>, WireError> {
    let positive = u64::try_from(ms).map_err(|_| NEGATIVE)?;
    time::unix_ms().checked_add(ms).ok_or(OUT_OF_RANGE)?;
    Ok((ms > 0).then(|| Duration::from_millis(positive)))
}

const NOT_A_FLOAT: WireError = WireError::fixed("ERR timeout is not a float or out of range");
const NOT_AN_INTEGER: WireError = WireError::fixed("ERR timeout is not an integer or out of range");
const NEGATIVE: WireError = WireError::fixed("ERR timeout is negative");
const OUT_OF_RANGE: WireError = WireError::fixed("ERR timeout is out of range");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up_and_bounded() {
        let ms = |text: &str| {
            let timeout = seconds(text.as_bytes()).map_err(|error| error.text().to_string());
            timeout.map(|timeout| timeout.map(|t| t.as_millis()))
        };
        assert_eq!(ms("0"), Ok(None));
        assert_eq!(ms("1.5"), Ok(Some(1500)));
        assert_eq!(ms("0.0001"), Ok(Some(1)));
        assert_eq!(ms("1e-400"), Ok(Some(1)));
        assert_eq!(ms("-1"), Err(NEGATIVE.text().to_string()));
        assert_eq!(ms("nan"), Err(NOT_A_FLOAT.text().to_string()));
        assert_eq!(ms(" 1"), Err(NOT_A_FLOAT.text().to_string()));
        for text in ["1e400", "inf", "9223372036854775"] {
            assert_eq!(ms(text), Err(OUT_OF_RANGE.text().to_string()), "{text}");
        }
    }
}
