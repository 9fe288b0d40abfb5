//! `uilog config`: what `hg config` prints.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::io::BufWriter;
use std::io::IsTerminal;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use uilog_config::Config;
use uilog_config::installation;

use crate::encoding;
use crate::known::DefaultValue;
use crate::known::KnownItems;
use crate::output::Template;
use crate::output::visible_bytes;
use crate::place::ConfigArguments;
use crate::suggest;

/// Show the combined configuration, as `hg config` does
///
/// Reads the same files in the same order as Mercurial, without running it.
/// Without arguments, shows all items; otherwise, the items and sections that
/// are named. For a single item, only its value is printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
    uilog config --source logtoprocess    list scripts, with file and line
  uilog config ui.username              print one value
  uilog config -T json                  print all items as JSON

Exit status:
  0    at least one item is shown
  1    no such item is set
  255  hg would refuse to run with this configuration; the message is hg's
       (with ui.detailed-exit-code, the exit status is hg's as well)

Files:
  the hgrc files listed in `hg help config`")]
pub(crate) struct Arguments {
    /// Sections, such as ui, and items, such as ui.username
    #[arg(
        value_name = "SECTION | SECTION.NAME",
        value_parser = suggest::item(),
        hide_possible_values = true
    )]
    names: Vec<OsString>,
    /// Show the file and line of each item
    #[arg(long)]
    source: bool,
    /// Include items from untrusted files
    #[arg(short, long)]
    untrusted: bool,
    /// Output format for scripts
    #[arg(short = 'T', long, value_name = "FORMAT")]
    template: Option<Template>,
    #[command(flatten)]
    place: ConfigArguments,
}

/// One item of the output.
struct Shown<'a> {
    /// `SECTION.NAME`.
    name: Vec<u8>,
    value: &'a [u8],
    source: Vec<u8>,
    default: Option<DefaultValue>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let loaded = match arguments.place.load_as_hg()? {
        Ok(loaded) => loaded,
        Err(error) => return Ok(ExitCode::from(error.exit_status())),
    };
    let config = if arguments.untrusted {
        &loaded.untrusted
    } else {
        &loaded.trusted
    };
    let names = Names::new(&arguments.names);
    let mut output = BufWriter::new(io::stdout().lock());
    let matched = match arguments.template {
        None => print_text(arguments, config, &names, &mut output)?,
        Some(Template::Json) => print_json(config, &names, &mut output)?,
    };
    output.flush()?;
    Ok(ExitCode::from(u8::from(!matched)))
}

/// Which items were asked for.
struct Names<'a> {
    sections: HashSet<&'a [u8]>,
    items: HashSet<&'a [u8]>,
    /// Whether it is a single item, of which the value is shown alone.
    is_one_item: bool,
}

impl<'a> Names<'a> {
    fn new(names: &'a [OsString]) -> Self {
        let names = names.iter().map(|name| name.as_bytes());
        let (items, sections): (Vec<_>, Vec<_>) =
            names.partition(|name| name.contains(&b'.'));
        Self {
            is_one_item: items.len() == 1 && sections.is_empty(),
            sections: sections.into_iter().collect(),
            items: items.into_iter().collect(),
        }
    }

    fn has(&self, section: &[u8], item: &[u8]) -> bool {
        let is_filtered = !self.sections.is_empty() || !self.items.is_empty();
        !is_filtered
            || self.sections.contains(section)
            || self.items.contains(item)
    }
}

/// Calls `show` for each item that was asked for; whether there was any.
// hg: configuration.command.show_config
fn for_each(
    config: &Config,
    names: &Names<'_>,
    mut show: impl FnMut(&[u8], &[u8], Shown<'_>) -> io::Result<()>,
) -> io::Result<bool> {
    let mut matched = false;
    for section in config.sections() {
        for (item, entry) in config.items(section) {
            let name = [section, b".", item].concat();
            if !names.has(section, &name) {
                continue;
            }
            matched = true;
            let source = entry.source.to_bytes();
            let value = &entry.value;
            let default = None;
            show(
                section,
                item,
                Shown {
                    name,
                    value,
                    source,
                    default,
                },
            )?;
        }
    }
    Ok(matched)
}

fn print_text(
    arguments: &Arguments,
    config: &Config,
    names: &Names<'_>,
    output: &mut impl Write,
) -> io::Result<bool> {
    // In a pipe it is what hg would print, to the byte.
    let is_terminal = io::stdout().is_terminal();
    for_each(config, names, |_, _, shown| {
        let mut line = Vec::new();
        if arguments.source {
            line.extend_from_slice(&shown.source);
            line.extend_from_slice(b": ");
        }
        if !names.is_one_item {
            line.extend_from_slice(&shown.name);
            line.extend_from_slice(b"=");
        }
        let parts: Vec<_> = shown.value.split(|it| *it == b'\n').collect();
        line.extend_from_slice(&parts.join(&b"\\n"[..]));
        if is_terminal {
            line = visible_bytes(&line);
        }
        line.push(b'\n');
        output.write_all(&line)
    })
}

// hg: formatter.jsonformatter
fn print_json(
    config: &Config,
    names: &Names<'_>,
    output: &mut impl Write,
) -> anyhow::Result<bool> {
    let environment = installation::environment()?;
    let package = environment.hg().and_then(installation::package);
    let known = KnownItems::read(package.as_deref(), config)?;
    let encoding = encoding::of(package.as_deref(), &environment);
    let mut is_first = true;
    output.write_all(b"[")?;
    let matched = for_each(config, names, |section, item, mut shown| {
        if !is_first {
            output.write_all(b",")?;
        }
        is_first = false;
        shown.default = known.default_of(section, item);
        output.write_all(b"\n {\n")?;
        if let Some(default) = &shown.default {
            output.write_all(b"  \"defaultvalue\": ")?;
            write_default(output, default, &encoding)?;
            output.write_all(b",\n")?;
        }
        let fields: [(&[u8], &[u8]); 3] = [
            (b"name", &shown.name),
            (b"source", &shown.source),
            (b"value", shown.value),
        ];
        for (index, (name, text)) in fields.into_iter().enumerate() {
            let separator: &[u8] = if index > 0 { b",\n" } else { b"" };
            output.write_all(separator)?;
            output.write_all(b"  \"")?;
            output.write_all(name)?;
            output.write_all(b"\": ")?;
            write_string(output, text)?;
        }
        output.write_all(b"\n }")
    })?;
    output.write_all(b"\n]\n")?;
    Ok(matched)
}

fn write_default(
    output: &mut impl Write,
    default: &DefaultValue,
    encoding: &[u8],
) -> io::Result<()> {
    match default {
        DefaultValue::Null => output.write_all(b"null"),
        DefaultValue::Bool(value) => write!(output, "{value}"),
        DefaultValue::Int(value) => write!(output, "{value}"),
        DefaultValue::Float(value) => write!(output, "{value:?}"),
        DefaultValue::Text(text) => write_string(output, text.as_bytes()),
        DefaultValue::Encoding => write_string(output, encoding),
        DefaultValue::List(texts) => {
            output.write_all(b"[")?;
            for (index, text) in texts.iter().enumerate() {
                let separator: &[u8] = if index > 0 { b", " } else { b"" };
                output.write_all(separator)?;
                write_string(output, text.as_bytes())?;
            }
            output.write_all(b"]")
        }
    }
}

/// A string as Mercurial writes it into JSON: invalid UTF-8 becomes lone
/// surrogates, of three bytes each. hg: encoding.jsonescape, encoding.toutf8b
fn write_string(output: &mut impl Write, text: &[u8]) -> io::Result<()> {
    output.write_all(b"\"")?;
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => output.write_all(b"\\\"")?,
                '\\' => output.write_all(b"\\\\")?,
                '\n' => output.write_all(b"\\n")?,
                '\r' => output.write_all(b"\\r")?,
                '\t' => output.write_all(b"\\t")?,
                '\u{8}' => output.write_all(b"\\b")?,
                '\u{c}' => output.write_all(b"\\f")?,
                '\0'..='\u{1f}' | '\u{7f}' => {
                    write!(output, "\\u{:04x}", u32::from(character))?;
                }
                _ => write!(output, "{character}")?,
            }
        }
        for byte in chunk.invalid() {
            // U+DC80 to U+DCFF
            let low = byte & 0x3f;
            let middle = 0xb0 | (byte >> 6);
            output.write_all(&[0xed, middle, 0x80 | low])?;
        }
    }
    output.write_all(b"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_strings_as_in_the_doctests_of_hg() {
        let written = |text: &[u8]| {
            let mut output = Vec::new();
            write_string(&mut output, text).unwrap();
            output
        };
        assert_eq!(written(b"\0\x0b\x7f"), b"\"\\u0000\\u000b\\u007f\"");
        assert_eq!(written(b"\x08\t\n\x0c\r\"\\"), br#""\b\t\n\f\r\"\\""#);
        assert_eq!(written(b"\xdd"), b"\"\xed\xb3\x9d\"");
        assert_eq!(written("caf\u{e9}".as_bytes()), b"\"caf\xc3\xa9\"");
    }
}
