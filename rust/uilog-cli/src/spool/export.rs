//! `uilog spool export`: writes waiting or rejected records to files.

use std::fs::DirBuilder;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use clap::ValueHint;
use uilog_sinks::otlp::request::SignalType;
use uilog_sinks::spools::Owned;
use uilog_sinks::spools::Translator;

use crate::output;
use crate::output::counted;
use crate::place::ConfigArguments;
use crate::place::tell;
use crate::spool::selected::EXIT_USAGE;
use crate::spool::selected::Spools;

const DIRECTORY_MODE: u32 = 0o700;

/// Export waiting or rejected records to files
///
/// Exports the records of all sinks, or of the named ones, the oldest first.
/// Nothing is removed: waiting records are still sent.
///
/// With --format jsonl, each record is a line of JSON, as a sink `file:` writes
/// it. With --format otlp, the files traces.jsonl and logs.jsonl are written
/// into the directory that -o names. Each line is an OTLP object in JSON; the
/// receiver `otlpjsonfile` of the OpenTelemetry Collector reads such files.
/// Existing files are never overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
    0    everything was written
  1    something could not be read or written
  2    there is no such spool, or --format otlp without -o
  255  the configuration cannot be read (with ui.detailed-exit-code, the
       status that hg has for the reason)

Examples:
  List the command lines that wait:
    uilog spool export | jq -r .process.command_line

  Save the records that the collector of the sink `fleet` has rejected:
    uilog spool export --rejected fleet -o rejected.jsonl

  Write files to carry to a collector by hand:
    uilog spool export --format otlp -o /mnt/usb")]
pub(super) struct Arguments {
    /// Names of sinks; all sinks if none is given
    sinks: Vec<String>,
    /// Format of the output
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    format: Format,
    /// Export rejected records instead of waiting ones
    #[arg(long)]
    rejected: bool,
    /// A new file, or a directory for --format otlp; default: standard output
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    output: Option<PathBuf>,
    #[command(flatten)]
    place: ConfigArguments,
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
            let file = output::create(path)?;
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
        let mut traces =
            BufWriter::new(output::create(&dir.join("traces.jsonl"))?);
        let mut logs = BufWriter::new(output::create(&dir.join("logs.jsonl"))?);
        for owned in &self.spools.all {
            let translator = Translator::new(owned, &self.spools.globals);
            self.each(owned, &mut |payload| {
                let Ok((kind, line)) = translator.line(payload) else {
                    return Ok(false);
                };
                match kind {
                    SignalType::Traces => traces.write_all(&line)?,
                    SignalType::Logs => logs.write_all(&line)?,
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
