//! `LATENCY`: spikes of latency, and how long commands take. What it shows is kept in
//! `observe/` and counted by `server/command_stats.rs`.

use crate::commands::handler::Handler;
use crate::commands::spec::{CommandSpec, Flags};
use crate::commands::table::{self, Command};
use crate::execute::SessionContext;
use crate::observe::{Column, Durations, LatencyEvent, draw};
use crate::protocol::{Args, Reply, WireError};
use crate::time;

const SAMPLES: CommandSpec = CommandSpec {
    since: "2.8.13",
    flags: Flags::of("admin noscript loading stale"),
    complexity: "O(1)",
    tips: &[
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ],
    ..super::SERVER
};

/// `LATENCY` and its subcommands.
pub(super) const COMMAND: CommandSpec = CommandSpec {
    name: "latency",
    since: "2.8.13",
    arity: -2,
    summary: "Groups the commands about spikes of latency.",
    complexity: "By subcommand",
    handler: Handler::Container,
    subcommands: &[
        CommandSpec {
            name: "doctor",
            arity: 2,
            summary: "Tells in words what the spikes look like.",
            handler: Handler::Session(doctor),
            ..SAMPLES
        },
        CommandSpec {
            name: "graph",
            arity: 3,
            syntax: "event",
            summary: "Draws the spikes of an event.",
            handler: Handler::Session(graph),
            ..SAMPLES
        },
        CommandSpec {
            name: "histogram",
            since: "7.0.0",
            arity: -2,
            syntax: "[command [command ...]]",
            summary: "Tells how many calls of each command took how long.",
            complexity: "O(N), N being the number of commands with latencies",
            handler: Handler::Session(histogram),
            ..SAMPLES
        },
        CommandSpec {
            name: "history",
            arity: 3,
            syntax: "event",
            summary: "Lists the spikes of an event.",
            handler: Handler::Session(history),
            ..SAMPLES
        },
        CommandSpec {
            name: "latest",
            arity: 2,
            summary: "Lists the last spike of each event.",
            handler: Handler::Session(latest),
            ..SAMPLES
        },
        CommandSpec {
            name: "reset",
            arity: -2,
            syntax: "[event [event ...]]",
            summary: "Forgets the spikes of events.",
            tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
            handler: Handler::Session(reset),
            ..SAMPLES
        },
        CommandSpec {
            name: "help",
            arity: 2,
            flags: Flags::of("loading stale"),
            summary: "Lists the subcommands.",
            tips: &[],
            handler: Handler::Session(help),
            ..SAMPLES
        },
    ],
    ..super::SERVER
};

fn latest(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let events = context.server.latency.events();
    reply.array(events.len());
    for (name, event) in events {
        let (at, took_ms) = event.samples.back().copied().unwrap_or_default();
        reply.array(4);
        reply.bulk_str(name);
        reply.int(at);
        reply.int(took_ms as i64);
        reply.int(event.worst_ms as i64);
    }
    Ok(())
}

fn history(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let event = context.server.latency.event(args.at(2));
    let samples = event.map(|(_, event)| event.samples).unwrap_or_default();
    reply.array(samples.len());
    for (at, took_ms) in samples {
        reply.array(2);
        reply.int(at);
        reply.int(took_ms as i64);
    }
    Ok(())
}

fn reset(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let latency = &context.server.latency;
    let forgotten = match args.len() {
        2 => latency.forget_all(),
        _ => args.from(2).filter(|name| latency.forget(name)).count(),
    };
    reply.int(forgotten as i64);
    Ok(())
}

fn graph(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let Some((name, event)) = context.server.latency.event(args.at(2)) else {
        return Err(WireError::quoting(
            "ERR No samples available for event '",
            args.at(2),
            "'",
        ));
    };
    let (low, high) = event.bounds();
    let now = time::unix_seconds();
    let columns: Vec<Column> = event
        .samples
        .iter()
        .map(|(at, value)| Column {
            value: *value,
            label: age(now - at),
        })
        .collect();
    let text = format!(
        "{name} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n{}",
        event.worst_ms,
        "-".repeat(80),
        draw(&columns)
    );
    reply.verbatim("txt", &text);
    Ok(())
}

/// Seconds in the largest unit that they fill.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..60 => format!("{s}s"),
        s @ 60..3600 => format!("{}m", s / 60),
        s @ 3600..86_400 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

fn histogram(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let stats = &context.server.stats.command_stats;
    let mut found: Vec<(&Command, Durations)> = Vec::new();
    let mut add = |command: &'static Command| {
        if let Some(durations) = stats.durations(command) {
            found.push((command, durations));
        }
    };
    if args.len() == 2 {
        table::all().iter().for_each(&mut add);
    }
    for name in args.from(2) {
        let Some(command) = table::by_full_name(name) else {
            continue;
        };
        add(command);
        command.subcommands().iter().for_each(&mut add);
    }
    reply.map(found.len());
    for (command, durations) in found {
        reply.bulk_str(&command.name);
        reply.map(2);
        reply.bulk_str("calls");
        reply.int(durations.len() as i64);
        reply.bulk_str("histogram_usec");
        let steps = durations.cumulative();
        reply.map(steps.len());
        for (bound_nanos, calls) in steps {
            // As Redis shows a bound: the end of the histogram's step that begins there.
            reply.int(((bound_nanos + bound_nanos / 128 - 1) / 1000) as i64);
            reply.int(calls as i64);
        }
    }
    Ok(())
}

fn doctor(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let threshold = context.server.config.current().latency_monitor_threshold_ms;
    let events = context.server.latency.events();
    reply.verbatim("txt", &report(threshold, &events, time::unix_seconds()));
    Ok(())
}

/// What a reader of the spikes would say.
fn report(threshold_ms: u64, events: &[(&'static str, LatencyEvent)], now: i64) -> String {
    if threshold_ms == 0 && events.is_empty() {
        return "The latency monitor is off. Switch it on with \"CONFIG SET \
                latency-monitor-threshold <milliseconds>\" and come back when something was slow.\n"
            .into();
    }
    if events.is_empty() {
        return format!("Nothing has taken {threshold_ms} ms or more so far.\n");
    }
    let mut text = String::from("These events have been slow:\n\n");
    let mut advice: Vec<&str> = Vec::new();
    for (number, (name, event)) in events.iter().enumerate() {
        let Some(summary) = event.summary(now) else {
            continue;
        };
        text.push_str(&format!(
            "{}. {name}: {} latency spikes (average {:.0}ms, mean deviation {:.0}ms, period \
             {:.2} sec). Worst all time event {}ms.\n",
            number + 1,
            event.samples.len(),
            summary.mean_ms,
            summary.deviation_ms,
            summary.period_s,
            event.worst_ms
        ));
        for line in advice_on(name) {
            if !advice.contains(line) {
                advice.push(line);
            }
        }
    }
    text.push_str("\nWhat may help:\n\n");
    for line in advice {
        text.push_str(&format!("- {line}\n"));
    }
    text
}

fn advice_on(event: &str) -> &'static [&'static str] {
    match event {
        "command" => &[
            "SLOWLOG GET shows which commands were slow and with which arguments.",
            "Commands that go through all keys or a whole large value hold up others on the same \
             keys: use the SCAN family, and ranges.",
        ],
        "fast-command" => &[
            "Commands of constant time were slow: the machine lacks CPU time or memory, or a \
             large command held their keys. Look at the load, at swapping, and at SLOWLOG GET.",
        ],
        _ => &[
            "The disk was slow: look at what else uses it, or put appendfsync to everysec if a \
             second of writes on this node may be lost in a power failure.",
        ],
    }
}

fn help(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help(
        "LATENCY",
        &[
            "DOCTOR",
            "    Tell in words what the spikes look like and what may help.",
            "GRAPH <event>",
            "    Draw the spikes of an event.",
            "HISTOGRAM [<command> ...]",
            "    Show for these commands, or all, how many calls took up to 1, 2, 4, ...",
            "    microseconds.",
            "HISTORY <event>",
            "    Show the times and milliseconds of an event's spikes.",
            "LATEST",
            "    Show the last and the worst spike of each event.",
            "RESET [<event> ...]",
            "    Forget the spikes of these events, or of all.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctor_knows_each_state() {
        assert!(report(0, &[], 0).contains("is off"));
        assert!(report(5, &[], 0).contains("5 ms"));
        let event = LatencyEvent {
            samples: [(100, 10), (104, 30)].into(),
            worst_ms: 50,
        };
        let text = report(5, &[("command", event.clone()), ("aof-write", event)], 110);
        let line = "2. aof-write: 2 latency spikes (average 20ms, mean deviation 10ms, \
                    period 5.00 sec). Worst all time event 50ms.\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("SLOWLOG") && text.contains("disk"));
    }

    #[test]
    fn ages_are_short() {
        assert_eq!([59, 60, 7200, 200_000].map(age), ["59s", "1m", "2h", "2d"]);
    }
}
