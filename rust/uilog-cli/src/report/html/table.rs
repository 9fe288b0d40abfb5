//! A table of the page, and its cells.
//!
//! Must not know which tables there are.

use uilog_history::report::Table as Rows;

use crate::output::counted;
use crate::output::cut;
use crate::output::duration;
use crate::report::pictures::shown;

/// How many characters a name has at most, and a longer text.
const MAX_NAME: usize = 80;
const MAX_TEXT: usize = 300;

pub(super) struct Table {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) caption: &'static str,
    pub(super) empty: &'static str,
    pub(super) heads: Vec<Head>,
    pub(super) rows: Vec<Vec<Cell>>,
    pub(super) note: Option<String>,
}

pub(super) struct Head {
    pub(super) text: &'static str,
    pub(super) is_number: bool,
}

pub(super) struct Cell {
    pub(super) text: String,
    pub(super) class: &'static str,
}

pub(super) fn name(text: &str) -> Cell {
    Cell {
        text: cut(&shown(text), MAX_NAME),
        class: "text",
    }
}

pub(super) fn long(text: &str) -> Cell {
    Cell {
        text: cut(&shown(text), MAX_TEXT),
        class: "text",
    }
}

pub(super) fn number(text: impl ToString) -> Cell {
    Cell {
        text: text.to_string(),
        class: "number",
    }
}

pub(super) fn bad(count: u64) -> Cell {
    Cell {
        text: count.to_string(),
        class: if count > 0 { "number bad" } else { "number" },
    }
}

pub(super) fn seconds(number: f64) -> Cell {
    Cell {
        text: duration(number),
        class: "number",
    }
}

impl Table {
    /// One whose numbers have `>` in front of their heads.
    pub(super) fn new(
        id: &'static str,
        title: &'static str,
        caption: &'static str,
        empty: &'static str,
        heads: &[&'static str],
        rows: Vec<Vec<Cell>>,
    ) -> Self {
        let head = |text: &&'static str| Head {
            text: text.trim_start_matches('>'),
            is_number: text.starts_with('>'),
        };
        Self {
            id,
            title,
            caption,
            empty,
            heads: heads.iter().map(head).collect(),
            rows,
            note: None,
        }
    }

    /// With a note on what is missing.
    pub(super) fn of<R>(mut self, table: &Rows<R>) -> Self {
        let mut notes = Vec::new();
        if table.more > 0 {
            notes.push(format!("{} more", counted(table.more, "row")));
        }
        if table.left_out > 0 {
            let records = counted(table.left_out, "record");
            notes.push(format!(
                "there are too many different names: {records} in no row"
            ));
        }
        self.note = (!notes.is_empty()).then(|| notes.join("; "));
        self
    }
}
