//! RDB files: whatever they say, they are read or refused, in memory that their size bounds;
//! what is read can be kept, written and read again.

use crate::allocations::peak_of;
use lockstep::execute::Settings;
use lockstep::rdb::{FileReader, Item, Target, entry_of, read_payload, write_payload};

/// Panics if the reader does something wrong with this input.
pub fn check(input: &[u8]) {
    let (_, peak) = peak_of(|| read(input));
    let most = FIXED + PER_BYTE * input.len();
    assert!(peak <= most, "{peak} bytes for {} of input", input.len());
}

fn read(input: &[u8]) {
    // Most changes make the checksum wrong; it is not what is tested here.
    let Ok(mut reader) = FileReader::new(input, false) else {
        return;
    };
    let settings = Settings::default();
    loop {
        let key = match reader.next_item() {
            Ok(Some(Item::Key(key))) => key,
            Ok(Some(_)) => continue,
            Ok(None) => return,
            Err(error) => {
                assert!(error.offset <= input.len() as u64, "{error}");
                return;
            }
        };
        let Ok(entry) = entry_of(&key.name, key.expires_at, key.value, &settings) else {
            continue;
        };
        for version in [9, 11, 80] {
            let target = Target {
                version,
                compress: version == 11,
            };
            let payload = write_payload(entry.view().value(), target);
            let again = read_payload(&payload).expect("what was written is read");
            entry_of(&key.name, None, again, &settings).expect("and kept");
        }
    }
}

/// Buffers, whatever the input.
const FIXED: usize = 2 << 20;
/// Compressed strings grow by up to 88, and then their elements have places.
const PER_BYTE: usize = 4096;
