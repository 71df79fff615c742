//! A row of numbers as a picture of characters, with a label under each, read downwards:
//! `LATENCY GRAPH`.

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    /// How high.
    pub value: u64,
    /// What is written below, from top to bottom.
    pub label: String,
}

/// Draws the columns, in blocks of a terminal's width. Heights are relative to the lowest and
/// the highest value; every line ends with a line break.
pub fn draw(columns: &[Column]) -> String {
    let lowest = columns.iter().map(|c| c.value).min().unwrap_or(0);
    let highest = columns.iter().map(|c| c.value).max().unwrap_or(0);
    let span = (highest - lowest).max(1);
    let mut text = String::new();
    for block in columns.chunks(WIDTH) {
        if !text.is_empty() {
            text.push('\n');
        }
        let steps: Vec<usize> = block
            .iter()
            .map(|c| {
                let full = ROWS * TOPS.len();
                let step = (c.value - lowest) as f64 / span as f64 * full as f64;
                (step as usize).min(full - 1)
            })
            .collect();
        for row in (0..ROWS).rev() {
            text.extend(steps.iter().map(|step| cell(*step, row)));
            text.push('\n');
        }
        text.extend(std::iter::repeat_n(' ', block.len()));
        text.push('\n');
        let longest = block.iter().map(|c| c.label.len()).max().unwrap_or(0);
        for row in 0..longest {
            let at = |c: &Column| c.label.as_bytes().get(row).map_or(' ', |b| *b as char);
            text.extend(block.iter().map(at));
            text.push('\n');
        }
    }
    text
}

/// What a column shows in a row, counted from the bottom.
fn cell(step: usize, row: usize) -> char {
    match (step / TOPS.len()).cmp(&row) {
        std::cmp::Ordering::Less => ' ',
        std::cmp::Ordering::Equal => TOPS[step % TOPS.len()],
        std::cmp::Ordering::Greater => '|',
    }
}

/// The end of a column, from low to high.
const TOPS: [char; 3] = ['_', 'o', '#'];
const ROWS: usize = 4;
const WIDTH: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_rise_between_the_lowest_and_the_highest() {
        let values = [20, 30, 250, 11, 400, 200, 100, 50, 300, 350, 12, 400];
        let columns: Vec<Column> = values
            .iter()
            .map(|value| Column {
                value: *value,
                label: format!("{}s", value % 20),
            })
            .collect();
        let text = draw(&columns);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..5],
            [
                "    #    o #",
                "  o |   #| |",
                "  | |#  || |",
                "__|_||#o||_|",
                "            "
            ]
        );
        assert_eq!(lines[5], "011100010110");
        assert!(draw(&[]).is_empty());
    }
}
