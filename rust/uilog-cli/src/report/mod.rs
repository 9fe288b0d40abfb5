//! `uilog report`: a page on a period, for a terminal or a browser.

mod arguments;
mod file;
mod html;
mod pictures;
mod support;
mod text;
mod wording;

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use uilog_history::report;
use uilog_sys::terminal;

pub(crate) use self::arguments::Arguments;
use crate::output;
use crate::output::bytes;
use crate::output::say;
use crate::output::visible;
use crate::select;
use crate::select::EXIT_USAGE;

/// How wide what is not a terminal is taken to be.
const WIDTH: usize = 100;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (filters, period) = match arguments.request() {
        Ok(request) => request,
        Err(why) => {
            say(&format!("uilog: {why}"));
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    if let Some(path) = &arguments.for_support {
        return support::run(arguments, path, &filters, period);
    }
    let opened = arguments.sources.open()?;
    let (report, problems) = report::make(&opened.sources, &filters, period);
    let is_troubled = select::say_problems(&opened.problems, &problems);
    if report.records == 0 {
        arguments.sources.say_where_records_come_from(&opened);
    }
    if report.may_count_twice {
        say(
            "uilog: there are so many records that one that is in two files \
             may count twice",
        );
    }
    let mut output = arguments.presentation.stdout();
    if let Some(path) = &arguments.html {
        let page = html::page(&report)?;
        file::replace(path, page.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
        let size = bytes(page.len() as f64);
        writeln!(output, "{}: {size}", visible(&path.to_string_lossy()))?;
    } else if arguments.presentation.is_json() {
        output::write_json(&mut output, &report)?;
    } else {
        let page = text::Page {
            report: &report,
            sections: arguments.sections(),
            rows: arguments.rows(),
            width: width(),
        };
        page.write(&mut output)?;
    }
    output.flush()?;
    Ok(ExitCode::from(u8::from(is_troubled)))
}

/// How wide a line may be.
fn width() -> usize {
    let stdout = io::stdout();
    match stdout.is_terminal() {
        true => terminal::size(&stdout).map_or(80, |it| it.0),
        false => WIDTH,
    }
}
