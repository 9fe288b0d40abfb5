//! `uilog report --for-support`: one archive to attach to a report of a fault.
//!
//! Responsible for showing all that is in it, for asking, and for the file.
//! `harmless.rs` decides what may be in it, `taken.rs` takes it.

mod entry;
mod harmless;
mod taken;

use std::io;
use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use uilog_history::filter::Filters;
use uilog_history::when::Span;

use self::entry::Entry;
use super::Arguments;
use super::file;
use crate::output::HEADLINE;
use crate::output::bytes;
use crate::output::say;
use crate::output::visible;

/// The directory in the archive.
const DIRECTORY: &str = "uilog-support";

/// Takes, shows, asks and writes.
pub(super) fn run(
    arguments: &Arguments,
    path: &Path,
    filters: &Filters,
    period: Span,
) -> anyhow::Result<ExitCode> {
    if !arguments.yes && !io::stdin().is_terminal() {
        say(
            "uilog: nobody can be asked here: there is no terminal; --yes \
             writes the archive without a question",
        );
        return Ok(ExitCode::FAILURE);
    }
    let exists = || {
        say(&format!("uilog: {} is there already", path.display()));
        ExitCode::FAILURE
    };
    if path.symlink_metadata().is_ok() {
        return Ok(exists());
    }
    let entries = taken::entries(arguments, filters, period)?;
    let archive = archive(&entries).context("cannot make the archive")?;
    let mut output = arguments.presentation.stdout();
    for entry in &entries {
        writeln!(output, "{HEADLINE}{}{HEADLINE:#}", entry.name)?;
        for line in entry.text.lines() {
            writeln!(output, "  {}", visible(line))?;
        }
    }
    writeln!(output)?;
    for entry in &entries {
        let size = bytes(entry.text.len() as f64);
        writeln!(output, "{size:>9}  {}: {}", entry.name, entry.about)?;
    }
    let name = visible(&path.to_string_lossy());
    if !arguments.yes {
        write!(output, "Write this to {name}? [y/N] ")?;
        output.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        let answer = answer.trim().to_lowercase();
        if !["y", "yes"].contains(&answer.as_str()) {
            writeln!(output, "nothing has been written")?;
            return Ok(ExitCode::FAILURE);
        }
    }
    match file::create(path, &archive) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Ok(exists());
        }
        created => created
            .with_context(|| format!("cannot write {}", path.display()))?,
    }
    writeln!(output, "{name}: {}", bytes(archive.len() as f64))?;
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// A tar archive, compressed, that tells nothing of who has made it.
fn archive(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |it| it.as_secs());
    let mut archive =
        tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(entry.text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        let name = format!("{DIRECTORY}/{}", entry.name);
        archive.append_data(&mut header, name, entry.text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}
