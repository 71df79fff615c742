//! What the terminal shows.

use super::roles::NodeFacts;
use std::io::{self, IsTerminal, Write};

/// A node's line.
#[derive(Clone, Debug, Default)]
pub struct NodeLine {
    /// What is known of it.
    pub facts: NodeFacts,
    /// `primary`, `replica`, or what it is doing.
    pub role: String,
    /// Keys it holds.
    pub keys: u64,
    /// Mean time to acknowledge, in microseconds, as the primary measures it.
    pub ack_us: Option<u64>,
}

/// Prints the status, in place on a terminal, and only when it changes elsewhere.
#[derive(Default)]
pub struct Screen {
    lines_up: usize,
    last: String,
}

impl Screen {
    /// Shows the nodes.
    pub fn show(&mut self, nodes: &[NodeLine]) {
        let terminal = io::stdout().is_terminal();
        let table = table(nodes, terminal);
        if table == self.last {
            return;
        }
        let mut out = io::stdout().lock();
        let up = if terminal && self.lines_up > 0 {
            format!("\x1b[{}A\x1b[J", self.lines_up)
        } else {
            String::new()
        };
        // A terminal that is gone is no reason to stop the group.
        let _ = write!(out, "{up}{table}");
        let _ = out.flush();
        self.lines_up = table.lines().count();
        self.last = table;
    }

    /// Prints a line that stays.
    pub fn say(&mut self, text: &str) {
        println!("{text}");
        self.lines_up = 0;
        self.last.clear();
    }
}

/// Numbers that always move are shown on a terminal only.
fn table(nodes: &[NodeLine], moving: bool) -> String {
    let mut text = String::from("  port   role       in sync");
    text.push_str(if moving {
        "        offset       keys  ack\n"
    } else {
        "\n"
    });
    for node in nodes {
        let in_sync = match (node.role.as_str(), node.facts.in_sync) {
            ("primary", _) => "-",
            (_, true) => "yes",
            (_, false) => "no",
        };
        text.push_str(&format!(
            "  {:<6} {:<10} {in_sync:<7}",
            node.facts.port, node.role
        ));
        if moving {
            let ack = node
                .ack_us
                .map_or_else(String::new, |us| format!("{us} µs"));
            text.push_str(&format!(
                " {:>13} {:>10}  {ack}",
                node.facts.offset, node.keys
            ));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}
