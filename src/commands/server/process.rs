//! What the operating system knows of this process, from `/proc`. Where there is none,
//! the answers are 0.

use std::fs::read_to_string;

/// CPU time in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTimes {
    /// In this program.
    pub user: f64,
    /// In the kernel for it.
    pub system: f64,
    /// The same of children that have ended.
    pub children_user: f64,
    /// The same of children that have ended.
    pub children_system: f64,
}

/// CPU time of the whole process.
pub fn cpu_times() -> CpuTimes {
    times_in("/proc/self/stat")
}

/// CPU time of the main thread.
pub fn main_thread_times() -> CpuTimes {
    times_in(&format!("/proc/self/task/{}/stat", std::process::id()))
}

/// Bytes of physical memory in use by the process.
pub fn resident_bytes() -> u64 {
    kilobytes("/proc/self/status", "VmRSS:") * 1024
}

/// Bytes of memory of the machine.
pub fn machine_bytes() -> u64 {
    kilobytes("/proc/meminfo", "MemTotal:") * 1024
}

/// Name, release and architecture of the operating system.
pub fn operating_system() -> String {
    let line = |path| read_to_string(path).unwrap_or_default().trim().to_owned();
    format!(
        "{} {} {}",
        line("/proc/sys/kernel/ostype"),
        line("/proc/sys/kernel/osrelease"),
        std::env::consts::ARCH
    )
}

fn kilobytes(path: &str, label: &str) -> u64 {
    let text = read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok())
        .unwrap_or(0)
}

fn times_in(path: &str) -> CpuTimes {
    let text = read_to_string(path).unwrap_or_default();
    // The program's name stands in brackets and may hold anything; after it come the state
    // and then numbers, of which the 11th to 14th are times.
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: Vec<f64> = after_name
        .split_ascii_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|word| word.parse().ok())
        .collect();
    let seconds = |i: usize| ticks.get(i).copied().unwrap_or(0.0) / TICKS_PER_SECOND;
    CpuTimes {
        user: seconds(0),
        system: seconds(1),
        children_user: seconds(2),
        children_system: seconds(3),
    }
}

/// The unit of times in `/proc`, which Linux keeps at this value on every common machine.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_occupies_memory() {
        assert!(resident_bytes() > 100_000);
        assert!(machine_bytes() > resident_bytes());
        assert!(operating_system().len() > 5);
    }

    #[test]
    fn work_takes_time() {
        let before = cpu_times();
        let mut sum = 0u64;
        while cpu_times().user + cpu_times().system <= before.user + before.system {
            for i in 0..1_000_000 {
                sum = std::hint::black_box(sum.wrapping_add(i));
            }
        }
    }
}
