//! How far the loading of files at start has come, for `INFO`, for clients that are refused
//! meanwhile, and for the log.

use crate::protocol::{WireError, errors};
use crate::time::{self, UnixMs};
use std::io::{self, Read};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Bytes of the files, and how many of them have been read.
#[derive(Debug, Default)]
pub struct LoadProgress {
    /// When it began, in Unix milliseconds; 0 when nothing is being loaded.
    began: AtomicI64,
    total: AtomicU64,
    loaded: AtomicU64,
    /// When the log was told last, in Unix milliseconds.
    told: AtomicI64,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// When it began, in Unix seconds.
    pub began: i64,
    /// Bytes of all files.
    pub total: u64,
    /// Bytes that were read.
    pub loaded: u64,
    /// The same of a hundred.
    pub percent: f64,
    /// Seconds that it will still take if it goes on like this; 1 before anything was read.
    pub seconds_left: u64,
}

impl LoadProgress {
    /// Says that files of so many bytes are going to be read.
    pub fn begins(&self, total: u64) {
        let now = time::unix_ms();
        self.total.store(total, Ordering::Relaxed);
        self.loaded.store(0, Ordering::Relaxed);
        self.told.store(now, Ordering::Relaxed);
        self.began.store(now, Ordering::Release);
    }

    /// Says that nothing is being read any more.
    pub fn ends(&self) {
        self.began.store(0, Ordering::Release);
    }

    /// Says that more bytes were read.
    pub fn adds(&self, bytes: u64) {
        self.loaded.fetch_add(bytes, Ordering::Relaxed);
        let now = time::unix_ms();
        if now - self.told.load(Ordering::Relaxed) < BETWEEN_LINES {
            return;
        }
        self.told.store(now, Ordering::Relaxed);
        if let Some(at) = self.estimate(now) {
            tracing::info!(
                loaded_bytes = at.loaded,
                total_bytes = at.total,
                seconds_left = at.seconds_left,
                "loading"
            );
        }
    }

    /// How far it has come by `now`; `None` when nothing is being loaded.
    pub fn estimate(&self, now: UnixMs) -> Option<Estimate> {
        let began = self.began.load(Ordering::Acquire);
        if began == 0 {
            return None;
        }
        let total = self.total.load(Ordering::Relaxed);
        // A file may grow, and a pipe has no length.
        let loaded = self.loaded.load(Ordering::Relaxed);
        let share = loaded.min(total) as f64 / total.max(1) as f64;
        let elapsed = (now - began).max(0) as f64 / 1000.0;
        let left = total.saturating_sub(loaded) as f64 / loaded.max(1) as f64 * elapsed;
        Some(Estimate {
            began: began / 1000,
            total,
            loaded,
            percent: share * 100.0,
            seconds_left: if loaded == 0 { 1 } else { left as u64 },
        })
    }

    /// What clients are answered meanwhile: Redis's words, and how long it will take.
    pub fn refusal(&self) -> WireError {
        match self.estimate(time::unix_ms()) {
            None => errors::LOADING,
            Some(at) => WireError::new(format!(
                "{}: {:.0}% done, about {} seconds left",
                errors::LOADING.text(),
                at.percent,
                at.seconds_left
            )),
        }
    }
}

/// A file whose bytes are counted as they are read.
pub struct Counted<'a, R> {
    /// The file.
    pub inner: R,
    /// Who counts.
    pub progress: &'a LoadProgress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(space)?;
        self.progress.adds(n as u64);
        Ok(n)
    }
}

/// Time between two lines of the log, in milliseconds.
const BETWEEN_LINES: i64 = 5000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_takes_as_long_as_what_was() {
        let progress = LoadProgress::default();
        assert_eq!(progress.estimate(0), None);
        progress.begins(400);
        let began = progress.began.load(Ordering::Relaxed);
        let at = progress.estimate(began).expect("it is loading");
        assert_eq!((at.percent, at.seconds_left), (0.0, 1));
        progress.adds(100);
        let at = progress.estimate(began + 2000).expect("it is loading");
        assert_eq!((at.loaded, at.percent, at.seconds_left), (100, 25.0, 6));
        progress.adds(900);
        let at = progress.estimate(began + 2000).expect("it is loading");
        assert_eq!((at.percent, at.seconds_left), (100.0, 0));
        progress.ends();
        assert_eq!(progress.estimate(began), None);
    }
}
