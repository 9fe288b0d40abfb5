//! How things are shown, common to several subcommands: for people, with
//! colours on a terminal, or for programs.

use std::io;
use std::io::Write;

use anstream::AutoStream;
use anstyle::AnsiColor;
use anstyle::Style;
use clap::Args;
use clap::ValueEnum;

/// What stands for itself.
pub(crate) const PLAIN: Style = Style::new();
/// A headline.
pub(crate) const HEADLINE: Style = Style::new().bold();
/// Something that is wrong.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Something that is doubtful.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Something that is as it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Where something is, and what else is not the point.
pub(crate) const PLACE: Style = AnsiColor::Cyan.on_default();

/// How it is to be shown.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Presentation {
    /// Show it for programs
    #[arg(short = 'T', long, value_name = "FORMAT")]
    template: Option<Template>,
    /// When to use colours: NO_COLOR and a pipe mean never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

/// A format for programs.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Template {
    /// One JSON object or list
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal
    Auto,
    /// In any case
    Always,
    /// Never
    Never,
}

impl Presentation {
    /// Whether programs read it.
    pub(crate) fn is_json(self) -> bool {
        matches!(self.template, Some(Template::Json))
    }

    /// Standard output, which takes colours out where they are not wanted.
    pub(crate) fn stdout(self) -> impl Write {
        let choice = match self.color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::AlwaysAnsi,
            Color::Never => anstream::ColorChoice::Never,
        };
        AutoStream::new(io::stdout(), choice).lock()
    }
}

/// Writes one JSON value.
pub(crate) fn write_json(
    output: &mut impl Write,
    value: &impl serde::Serialize,
) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *output, value)?;
    output.write_all(b"\n")
}

/// A text in a style.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{}{style:#}", visible(text))
}

/// The text in one line, with nothing in it that a terminal would obey.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// `1 error`, `2 errors`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Seconds as people say them.
pub(crate) fn duration(seconds: f64) -> String {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    const DAY: f64 = 24.0 * HOUR;
    if seconds < MINUTE {
        format!("{seconds:.2} s")
    } else if seconds < HOUR {
        format!("{:.1} min", seconds / MINUTE)
    } else if seconds < DAY {
        format!("{:.1} h", seconds / HOUR)
    } else {
        format!("{:.1} days", seconds / DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(visible("a\x1b[31mb\nc\u{e9}"), "a\\u{1b}[31mb\\nc\u{e9}");
        assert_eq!(styled(PLAIN, "a"), "a");
    }

    #[test]
    fn times_for_people() {
        let told = [0.25, 90.0, 5400.0, 172_800.0].map(duration);
        assert_eq!(told, ["0.25 s", "1.5 min", "1.5 h", "2.0 days"]);
        assert_eq!(counted(1, "note"), "1 note");
        assert_eq!(counted(0, "note"), "0 notes");
    }
}
