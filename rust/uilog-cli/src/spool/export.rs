//! `uilog spool export`: writes what waits, or what was rejected, to files.

use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use clap::ValueHint;
use uilog_sinks::otlp::request::Kind;
use uilog_sinks::spools::Owned;
use uilog_sinks::spools::Translator;

use super::EXIT_USAGE;
use super::Spools;
use crate::output::counted;
use crate::place::Place;
use crate::place::tell;

/// What is written is its owner's alone, as the spool is.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// Write what waits, or what was rejected
///
/// Of all sinks, or of those that are named, the oldest of each first. Nothing
/// is removed: what waits is sent all the same, unless the spool is removed.
///
/// With --format jsonl, each record is a line of JSON, as a sink `file:` writes
/// it (docs/schema.md). With --format otlp, two files are written into the
/// directory of -o: traces.jsonl and logs.jsonl, each with one object of OTLP's
/// JSON a line, which the receiver `otlpjsonfile` of the OpenTelemetry
/// Collector reads. A file that is there already is not touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
  0    all has been written
  1    something could not be read or written
  2    there is no such spool, or --format otlp without -o
  255  the configuration cannot be read (or what hg has for that reason, with
       ui.detailed-exit-code)

Examples:
  uilog spool export | jq -r .process.command_line     what waits, in short
  uilog spool export --rejected fleet -o rejected.jsonl
  uilog spool export --format otlp -o /mnt/usb         by foot to a collector")]
pub(super) struct Arguments {
    /// The names of sinks; all if there are none
    sinks: Vec<String>,
    /// What to write
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    format: Format,
    /// What collectors have rejected, instead of what waits
    #[arg(long)]
    rejected: bool,
    /// A file that is not there yet, or a directory for --format otlp; without
    /// it, standard output
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    output: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Records, as `file:` writes them
    Jsonl,
    /// OTLP's JSON, as the Collector's file exporter writes it
    Otlp,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let spools = match Spools::named(&arguments.place, &arguments.sinks)? {
        Ok(spools) => spools,
        Err(status) => return Ok(status),
    };
    let mut export = Export {
        spools: &spools,
        is_rejected: arguments.rejected,
        unreadable: 0,
    };
    match (arguments.format, &arguments.output) {
        (Format::Jsonl, None) => {
            export.records(BufWriter::new(io::stdout().lock()))?;
        }
        (Format::Jsonl, Some(path)) => {
            let file = create(path)?;
            export
                .records(BufWriter::new(file))
                .with_context(|| format!("write {}", path.display()))?;
        }
        (Format::Otlp, None) => {
            let text = "uilog: --format otlp writes two files: name a \
                        directory for them with -o";
            tell(&[text.into()])?;
            return Ok(ExitCode::from(EXIT_USAGE));
        }
        (Format::Otlp, Some(dir)) => export.otlp(dir)?,
    }
    if export.unreadable > 0 {
        let text = format!(
            "uilog: {} could not be read",
            counted(export.unreadable, "record")
        );
        tell(&[text.into()])?;
    }
    Ok(ExitCode::from(u8::from(export.unreadable > 0)))
}

struct Export<'a> {
    spools: &'a Spools,
    is_rejected: bool,
    unreadable: u64,
}

impl Export<'_> {
    fn records(&mut self, mut output: impl Write) -> anyhow::Result<()> {
        for owned in &self.spools.all {
            self.each(owned, &mut |payload| {
                output.write_all(payload)?;
                output.write_all(b"\n")?;
                Ok(true)
            })?;
        }
        output.flush()?;
        Ok(())
    }

    fn otlp(&mut self, dir: &Path) -> anyhow::Result<()> {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(dir)
            .with_context(|| format!("create {}", dir.display()))?;
        let mut traces = BufWriter::new(create(&dir.join("traces.jsonl"))?);
        let mut logs = BufWriter::new(create(&dir.join("logs.jsonl"))?);
        for owned in &self.spools.all {
            let translator = Translator::new(owned, &self.spools.globals);
            self.each(owned, &mut |payload| {
                let Ok((kind, line)) = translator.line(payload) else {
                    return Ok(false);
                };
                match kind {
                    Kind::Traces => traces.write_all(&line)?,
                    Kind::Logs => logs.write_all(&line)?,
                }
                Ok(true)
            })
            .with_context(|| format!("write to {}", dir.display()))?;
        }
        traces.flush().and_then(|()| logs.flush())?;
        Ok(())
    }

    /// Calls `write` with each record; false is one that it cannot read.
    fn each(
        &mut self,
        owned: &Owned,
        write: &mut dyn FnMut(&[u8]) -> io::Result<bool>,
    ) -> anyhow::Result<()> {
        let payloads = owned.payloads(&self.spools.globals, self.is_rejected);
        for payload in payloads.map_err(anyhow::Error::msg)? {
            let is_read = match payload {
                Ok(payload) => write(&payload)?,
                Err(_) => false,
            };
            self.unreadable += u64::from(!is_read);
        }
        Ok(())
    }
}

fn create(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
        .with_context(|| format!("create {}", path.display()))
}
