//! `INFO`: which sections are asked for, and the sections.
//!
//! Fields have Redis's names where they hold the same fact; facts that only exist here have
//! names of our own (`sync_ack`, `insync_set`, ...). What is not known is left out, not made
//! up. A reply never waits for replicas: it is what an operator looks at when they hang.

mod clients;
mod data;
mod memory;
mod persistence;
mod replication;
mod server;
mod sizes;
mod stats;

use crate::execute::SessionContext;
use crate::protocol::{Args, Reply, WireError};
use std::fmt::Display;

pub(super) fn info(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let chosen = chosen(args);
    let mut text = Text::default();
    for (section, _) in SECTIONS.iter().zip(&chosen).filter(|(_, chosen)| **chosen) {
        text.begin(section.title);
        (section.write)(context, &mut text);
    }
    reply.verbatim("txt", &text.0);
    Ok(())
}

/// A part of the report.
struct Section {
    name: &'static str,
    title: &'static str,
    write: fn(&SessionContext<'_>, &mut Text),
    /// Whether it is shown when nothing is asked for.
    default: bool,
}

const fn section(
    name: &'static str,
    title: &'static str,
    write: fn(&SessionContext<'_>, &mut Text),
    default: bool,
) -> Section {
    Section {
        name,
        title,
        write,
        default,
    }
}

/// In Redis's order.
const SECTIONS: [Section; 15] = [
    section("server", "Server", server::server, true),
    section("clients", "Clients", clients::clients, true),
    section("memory", "Memory", memory::memory, true),
    section("persistence", "Persistence", persistence::persistence, true),
    section("threads", "Threads", stats::threads, true),
    section("stats", "Stats", stats::stats, true),
    section("replication", "Replication", replication::replication, true),
    section("cpu", "CPU", server::cpu, true),
    section("modules", "Modules", |_, _| (), true),
    section("commandstats", "Commandstats", stats::commands, false),
    section("errorstats", "Errorstats", stats::errors, true),
    section("latencystats", "Latencystats", stats::latencies, false),
    section("cluster", "Cluster", server::cluster, true),
    section("keyspace", "Keyspace", data::keyspace, true),
    section("keysizes", "Keysizes", sizes::keysizes, true),
];

fn chosen(args: Args<'_>) -> [bool; SECTIONS.len()] {
    if args.len() == 1 {
        return SECTIONS.map(|section| section.default);
    }
    let mut chosen = [false; SECTIONS.len()];
    for at in 1..args.len() {
        let (default, all) = (
            args.is(at, "default"),
            args.is(at, "all") || args.is(at, "everything"),
        );
        for (chosen, section) in chosen.iter_mut().zip(&SECTIONS) {
            *chosen |= all || default && section.default || args.is(at, section.name);
        }
    }
    chosen
}

/// The report as it grows.
#[derive(Default)]
struct Text(String);

impl Text {
    fn begin(&mut self, title: &str) {
        if !self.0.is_empty() {
            self.0.push_str("\r\n");
        }
        self.0.push_str(&format!("# {title}\r\n"));
    }

    /// Adds a field.
    fn field(&mut self, name: &str, value: impl Display) {
        self.0.push_str(&format!("{name}:{value}\r\n"));
    }

    /// Adds a field that is 1 or 0.
    fn flag(&mut self, name: &str, value: bool) {
        self.field(name, u8::from(value));
    }

    /// Adds bytes, plain and for people.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.field(name, bytes);
        self.field(&format!("{name}_human"), human(bytes));
    }
}

/// Bytes with a unit, as Redis writes them.
fn human(bytes: u64) -> String {
    let scaled = |shift: u32| bytes as f64 / (1u64 << shift) as f64;
    match bytes {
        0..1024 => format!("{bytes}B"),
        1024..0x10_0000 => format!("{:.2}K", scaled(10)),
        0x10_0000..0x4000_0000 => format!("{:.2}M", scaled(20)),
        0x4000_0000..0x100_0000_0000 => format!("{:.2}G", scaled(30)),
        _ => format!("{:.2}T", scaled(40)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::OwnedArgs;

    fn names(words: &[&str]) -> Vec<&'static str> {
        let args = OwnedArgs::of(words);
        let chosen = chosen(args.view());
        let both = SECTIONS.iter().zip(chosen);
        both.filter(|(_, c)| *c).map(|(s, _)| s.name).collect()
    }

    #[test]
    fn sections_are_chosen_as_redis_does() {
        assert_eq!(
            names(&["info", "CPU", "nosuch", "server"]),
            ["server", "cpu"]
        );
        assert_eq!(names(&["info"]), names(&["info", "default"]));
        assert!(!names(&["info"]).contains(&"commandstats"));
        assert_eq!(names(&["info", "all"]).len(), SECTIONS.len());
        assert!(names(&["info", ""]).is_empty());
    }

    #[test]
    fn bytes_for_people() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(694_176), "677.91K");
        assert_eq!(human(25_276_514_304), "23.54G");
    }
}
