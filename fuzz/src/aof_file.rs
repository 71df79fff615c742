//! Append-only files: whatever they say, it is told how far they are whole, in memory that
//! their size bounds; and what was called whole is.

use crate::allocations::peak_of;
use lockstep::check::{FaultKind, Report, scan};
use std::cell::OnceCell;
use std::path::PathBuf;

/// Panics if the reader does something wrong with this input.
pub fn check(input: &[u8]) {
    let (report, peak) = peak_of(|| look(input));
    let most = FIXED + PER_BYTE * input.len();
    assert!(peak <= most, "{peak} bytes for {} of input", input.len());
    let size = input.len() as u64;
    assert!(report.whole <= size, "{report:?}");
    let Some(fault) = report.fault else {
        assert_eq!(report.whole, size);
        return;
    };
    assert!(fault.offset <= size, "{fault:?}");
    if fault.kind == FaultKind::Hopeless {
        return;
    }
    assert!(report.whole <= fault.offset, "{fault:?}");
    let again = look(&input[..report.whole as usize]);
    assert!(
        again.fault.is_none(),
        "cut after {fault:?}, and then {again:?}"
    );
    assert_eq!(again.commands, report.commands);
}

fn look(input: &[u8]) -> Report {
    FILE.with(|file| {
        let path = file.get_or_init(|| {
            let name = format!("lockstep-fuzz-{}-aof", std::process::id());
            std::env::temp_dir().join(name)
        });
        std::fs::write(path, input).expect("a temporary file");
        scan(path, None).expect("a file that can be read")
    })
}

thread_local! {
    static FILE: OnceCell<PathBuf> = const { OnceCell::new() };
}

/// Buffers, whatever the input.
const FIXED: usize = 6 << 20;
/// Compressed strings of the RDB data with which a file may begin grow by up to 88, and then
/// their elements have places.
const PER_BYTE: usize = 4096;
