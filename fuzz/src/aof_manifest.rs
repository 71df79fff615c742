//! The manifest of the append-only file and the annotations in it: whatever is read is
//! written so that the same is read again, and the rest is refused without a panic.

use lockstep::aof::{Annotation, Manifest};

/// Panics if a parser does something wrong with this input.
pub fn check(input: &[u8]) {
    if let Ok(manifest) = Manifest::parse(input) {
        let text = manifest.text();
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest), "{text}");
    }
    let found = Annotation::is_in(input);
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        if let Some(annotation) = Annotation::parse(line) {
            assert!(found);
            let mut written = Vec::new();
            annotation.write_to(&mut written);
            assert_eq!(Annotation::parse(&written), Some(annotation));
        }
    }
}
