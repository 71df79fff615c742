//! The configuration parser: whatever a file holds, it is read or refused with the line at
//! fault, without a panic.

use lockstep::config::{LoadError, load_text};

/// Panics if the parser does something wrong with this input.
pub fn check(input: &[u8]) {
    // `include` reads other files; which ones must not be left to chance.
    let lower = input.to_ascii_lowercase();
    if lower.windows(4).any(|w| w == b"incl") {
        return;
    }
    match load_text(input, None) {
        Ok(_) => {}
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty());
            let _: LoadError = error;
        }
    }
}
