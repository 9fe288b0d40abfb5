//! The pictures of the report: where each mark of an SVG stands, and the words
//! that say the same.
//!
//! Must not know the page around them.

use uilog_history::report::Command;
use uilog_history::report::Slot;

use crate::output::counted;
use crate::output::cut;
use crate::output::duration;
use crate::output::local;
use crate::output::visible;

/// How wide a picture is, in its own units.
const WIDTH: u32 = 900;
/// How much of that labels take.
const LEFT: u32 = 60;
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Commands and failures over time.
pub(super) struct Timeline {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) left: u32,
    pub(super) foot: u32,
    /// What the highest bar stands for.
    pub(super) most: u64,
    pub(super) first: String,
    pub(super) last: String,
    pub(super) text: String,
    pub(super) bars: Vec<Bar>,
}

/// A part of the time.
pub(super) struct Bar {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) y: String,
    pub(super) height: String,
    pub(super) bad_y: String,
    pub(super) bad_height: String,
    pub(super) text: String,
}

/// What is told of a slot.
pub(super) fn slot_text(slot: &Slot) -> String {
    format!(
        "from {}: {}, {}",
        local(slot.from),
        counted(slot.commands, "command"),
        counted(slot.failures, "failure")
    )
}

impl Timeline {
    /// None without a command.
    pub(super) fn new(slots: &[Slot]) -> Option<Self> {
        const HEIGHT: u32 = 180;
        const FOOT: u32 = 160;
        const HEAD: f64 = 4.0;
        let (first, last) = (slots.first()?, slots.last()?);
        let peak = slots.iter().max_by_key(|it| it.commands)?;
        let most = peak.commands.max(1);
        let step = f64::from(WIDTH - LEFT) / slots.len() as f64;
        let high =
            |count: u64| (f64::from(FOOT) - HEAD) * count as f64 / most as f64;
        let bars = slots.iter().enumerate().map(|(index, slot)| {
            let (all, bad) = (high(slot.commands), high(slot.failures));
            Bar {
                x: length(f64::from(LEFT) + step * index as f64),
                width: length((step - 1.0).max(0.5)),
                y: length(f64::from(FOOT) - all),
                height: length(all),
                bad_y: length(f64::from(FOOT) - bad),
                bad_height: length(bad),
                text: slot_text(slot),
            }
        });
        let sum = |of: fn(&Slot) -> u64| slots.iter().map(of).sum::<u64>();
        Some(Self {
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            foot: FOOT,
            most,
            first: local(first.from),
            last: local(last.from),
            text: format!(
                "{} and {}; the most {}",
                counted(sum(|it| it.commands), "command"),
                counted(sum(|it| it.failures), "failure"),
                slot_text(peak)
            ),
            bars: bars.collect(),
        })
    }
}

/// Commands by day and hour.
pub(super) struct Heat {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) cell: u32,
    pub(super) text: String,
    pub(super) labels: Vec<Label>,
    pub(super) cells: Vec<Cell>,
}

/// A text in a picture.
pub(super) struct Label {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) anchor: &'static str,
    pub(super) text: String,
}

/// An hour.
pub(super) struct Cell {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) opacity: String,
    pub(super) text: String,
}

impl Heat {
    pub(super) fn new(hours: &[Vec<u64>]) -> Self {
        const CELL: u32 = 30;
        const STEP: u32 = 34;
        const HEAD: u32 = 20;
        let all = || hours.iter().flatten().copied();
        let most = all().max().unwrap_or(0);
        let mut labels = Vec::new();
        let mut cells = Vec::new();
        let mut peak = String::new();
        for hour in (0..24).step_by(3) {
            labels.push(Label {
                x: LEFT + hour * STEP + CELL / 2,
                y: HEAD - 8,
                anchor: "middle",
                text: format!("{hour:02}:00"),
            });
        }
        for ((day, hours), row) in DAYS.iter().zip(hours).zip(0..) {
            let y = HEAD + row * STEP;
            labels.push(Label {
                x: LEFT - 8,
                y: y + CELL / 2 + 4,
                anchor: "end",
                text: (*day).to_owned(),
            });
            for (count, hour) in hours.iter().zip(0..) {
                let commands = counted(*count, "command");
                let text = format!("{day} {hour:02}:00: {commands}");
                if *count == most && peak.is_empty() {
                    peak.clone_from(&text);
                }
                let part = *count as f64 / most.max(1) as f64;
                // Few are to be told from none.
                let opacity = match count {
                    0 => 0.0,
                    _ => 0.12 + 0.88 * part,
                };
                cells.push(Cell {
                    x: LEFT + hour * STEP,
                    y,
                    opacity: format!("{opacity:.2}"),
                    text,
                });
            }
        }
        Self {
            width: LEFT + 24 * STEP,
            height: HEAD + 7 * STEP,
            cell: CELL,
            text: format!("The most in an hour of the week: {peak}"),
            labels,
            cells,
        }
    }

    /// The name of a day of the week.
    pub(super) fn day(index: usize) -> &'static str {
        DAYS.get(index).copied().unwrap_or_default()
    }
}

/// Percentiles by command, on a logarithmic scale.
pub(super) struct Percentiles {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) left: u32,
    pub(super) foot: u32,
    pub(super) text: String,
    pub(super) ticks: Vec<Tick>,
    pub(super) rows: Vec<Row>,
}

/// A mark of the scale.
pub(super) struct Tick {
    pub(super) x: String,
    pub(super) text: String,
}

/// A command.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) y: u32,
    pub(super) p50: String,
    pub(super) p95: String,
    pub(super) p99: String,
    pub(super) text: String,
}

impl Percentiles {
    /// None without a command.
    pub(super) fn new(commands: &[Command]) -> Option<Self> {
        const LEFT: u32 = 150;
        const RIGHT: u32 = 20;
        const STEP: u32 = 24;
        const MAX_ROWS: usize = 20;
        const MAX_NAME: usize = 20;
        /// Shorter durations stand at the scale's beginning: a millisecond.
        const LEAST: f64 = -3.0;
        let commands = &commands[..commands.len().min(MAX_ROWS)];
        let longest = commands.first()?;
        let log = |seconds: f64| seconds.max(1e-9).log10().max(LEAST);
        let longest_log = commands.iter().map(|it| log(it.p99));
        let end = longest_log.fold(LEAST + 1.0, f64::max).ceil();
        let scale = f64::from(WIDTH - LEFT - RIGHT) / (end - LEAST);
        let at = |log: f64| length(f64::from(LEFT) + (log - LEAST) * scale);
        let mut ticks = Vec::new();
        let mut tick = LEAST;
        while tick <= end {
            let seconds = 10f64.powf(tick);
            let text = match seconds < 0.01 {
                true => format!("{:.0} ms", seconds * 1000.0),
                false => duration(seconds),
            };
            ticks.push(Tick { x: at(tick), text });
            tick += 1.0;
        }
        let rows: Vec<_> = commands
            .iter()
            .zip(0..)
            .map(|(it, index)| Row {
                name: cut(&shown(&it.name), MAX_NAME),
                y: STEP / 2 + index * STEP,
                p50: at(log(it.p50)),
                p95: at(log(it.p95)),
                p99: at(log(it.p99)),
                text: percentiles_text(it),
            })
            .collect();
        let foot = rows.len() as u32 * STEP;
        Some(Self {
            width: WIDTH,
            height: foot + 20,
            left: LEFT,
            foot,
            text: format!(
                "{} by total time; the table below has the numbers. The \
                 greatest: {}",
                counted(rows.len() as u64, "command"),
                percentiles_text(longest)
            ),
            ticks,
            rows,
        })
    }
}

fn percentiles_text(command: &Command) -> String {
    const MAX_NAME: usize = 60;
    format!(
        "{}: half took less than {}, 95 % less than {}, 99 % less than {}",
        cut(&shown(&command.name), MAX_NAME),
        duration(command.p50),
        duration(command.p95),
        duration(command.p99)
    )
}

fn length(number: f64) -> String {
    format!("{number:.1}")
}

/// The text in one line, with nothing in it that HTML cannot hold.
pub(super) fn shown(text: &str) -> String {
    // Noncharacters of Unicode.
    let is_none = |it: char| {
        let code = u32::from(it);
        code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code)
    };
    visible(text).replace(is_none, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stay_within_their_frames() {
        let slots: Vec<_> = (0..84)
            .map(|it| Slot {
                from: it * 1_000_000,
                commands: it as u64 % 13,
                failures: it as u64 % 3,
            })
            .collect();
        let timeline = Timeline::new(&slots).unwrap();
        assert_eq!(timeline.most, 12);
        for bar in &timeline.bars {
            let number = |it: &str| it.parse::<f64>().unwrap();
            assert!(number(&bar.y) >= 0.0);
            let end = number(&bar.x) + number(&bar.width);
            assert!(end <= f64::from(timeline.width), "{end}");
            let foot = number(&bar.y) + number(&bar.height);
            assert!((foot - f64::from(timeline.foot)).abs() < 0.2, "{foot}");
        }
        assert!(timeline.text.starts_with("483 commands and 84 failures"));
        assert!(Timeline::new(&[]).is_none());
        let mut hours = vec![vec![0; 24]; 7];
        hours[6][23] = 5;
        let heat = Heat::new(&hours);
        assert_eq!(heat.cells.len(), 7 * 24);
        assert_eq!(heat.cells[0].opacity, "0.00");
        assert_eq!(heat.cells[7 * 24 - 1].opacity, "1.00");
        assert!(heat.text.ends_with("Sun 23:00: 5 commands"));
        let last = &heat.cells[7 * 24 - 1];
        assert!(last.x + heat.cell <= heat.width);
        assert!(last.y + heat.cell <= heat.height);
        assert!(Percentiles::new(&[]).is_none());
    }
}
