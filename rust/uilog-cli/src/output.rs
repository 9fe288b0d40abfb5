//! Output that several subcommands share: text for people, with colours on a
//! terminal, or JSON for scripts.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anstream::AutoStream;
use anstyle::AnsiColor;
use anstyle::Style;
use anyhow::Context;
use chrono::DateTime;
use clap::Args;
use clap::ValueEnum;
use uilog_sys::clock;

/// Text without emphasis.
pub(crate) const PLAIN: Style = Style::new();
/// A headline.
pub(crate) const HEADLINE: Style = Style::new().bold();
/// Something that is wrong.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Something that may be wrong.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Something that is all right.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// File names, line numbers and other secondary text.
pub(crate) const PLACE: Style = AnsiColor::Cyan.on_default();

/// Exported files are private to the user, as the records they come from are.
const FILE_MODE: u32 = 0o600;

/// Creates a file for exported records.
///
/// # Errors
///
/// It exists, or the system refuses.
pub(crate) fn create(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
        .with_context(|| format!("create {}", path.display()))
}

/// The options that choose the output's format.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Presentation {
    /// Output format for scripts
    #[arg(short = 'T', long, value_name = "FORMAT")]
    template: Option<Template>,
    #[command(flatten)]
    colors: Colors,
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Colors {
    /// When to use colours; auto also means never if NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

/// An output format for scripts.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Template {
    /// One JSON object or list
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Color {
    /// If standard output is a terminal
    Auto,
    /// Even in a pipe or a file
    Always,
    /// Never
    Never,
}

impl Presentation {
    /// Whether the output is JSON.
    pub(crate) fn is_json(self) -> bool {
        matches!(self.template, Some(Template::Json))
    }

    /// Standard output; removes colours where they are not wanted.
    pub(crate) fn stdout(self) -> impl Write {
        self.colors.stdout()
    }
}

impl Colors {
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

/// Writes what switches uilog off, if anything does.
pub(crate) fn write_switched_off(
    output: &mut impl Write,
    causes: &[String],
) -> io::Result<()> {
    for cause in causes {
        let headline = styled(WARNING, "Switched off");
        writeln!(output, "{headline}: {}", visible(cause))?;
    }
    Ok(())
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

/// The text in one line, with nothing in it that a terminal would obey, and
/// nothing that would show it in another order.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_direction(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The same of bytes; those that are no UTF-8 stay.
pub(crate) fn visible_bytes(text: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        shown.extend_from_slice(visible(chunk.valid()).as_bytes());
        shown.extend_from_slice(chunk.invalid());
    }
    shown
}

/// The text in at most so many characters.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain(std::iter::once('…')).collect()
}

/// Writes a line to standard error; does nothing if that is closed.
pub(crate) fn say(text: &str) {
    let line = format!("{}\n", visible(text));
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Whether a character changes the direction of the text behind it.
// Unicode: Bidi_Control
fn is_direction(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// `1 error`, `2 errors`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// A moment on the local clock.
pub(crate) fn local(micros: i64) -> String {
    let seconds = micros.div_euclid(1_000_000);
    let offset = i64::from(clock::local_offset(seconds));
    shown(seconds + offset)
}

/// Seconds since 1970, as a date and a time.
fn shown(seconds: i64) -> String {
    let time = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Bytes as people say them.
pub(crate) fn bytes(count: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let mut count = count;
    let mut unit = 0;
    while count >= 1024.0 && unit + 1 < UNITS.len() {
        count /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{count:.1} {}", UNITS[unit]),
    }
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
        assert_eq!(visible("a\u{9b}1m\u{202e}b"), "a\\u{9b}1m\\u{202e}b");
        assert_eq!(visible_bytes(b"\x1bc\xffd\t"), b"\\u{1b}c\xffd\\t");
        assert_eq!(styled(PLAIN, "a"), "a");
    }

    #[test]
    fn times_for_people() {
        let told = [0.25, 90.0, 5400.0, 172_800.0].map(duration);
        assert_eq!(told, ["0.25 s", "1.5 min", "1.5 h", "2.0 days"]);
        assert_eq!(counted(1, "note"), "1 note");
        assert_eq!(counted(0, "note"), "0 notes");
    }

    #[test]
    fn days_have_dates() {
        assert_eq!(shown(0), "1970-01-01 00:00:00");
        assert_eq!(shown(20_787 * 86_400), "2026-11-30 00:00:00");
        assert_eq!(shown(-86_400), "1969-12-31 00:00:00");
        assert_eq!(shown(19_782 * 86_400), "2024-02-29 00:00:00");
    }
}
