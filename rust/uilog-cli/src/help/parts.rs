//! Generated parts of files that are written by hand: the tables of settings in
//! a page of the documentation, and the docstring of the extension.

use anyhow::Context;
use anyhow::bail;
use uilog_config::described::DESCRIBED;
use uilog_config::described::Described;
use uilog_config::items::ValueType;

use super::python;

/// Before a table: the section, and the settings as they are to be shown.
const BEGIN: &str = "<!-- settings of ";
const BEGIN_END: &str = " -->";
/// After it.
const END: &str = "<!-- end of settings -->";

/// The page with all tables renewed.
pub(crate) fn with_tables(page: &str) -> anyhow::Result<String> {
    let mut result = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        result.push_str(line);
        result.push('\n');
        let Some(wanted) = line
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix(BEGIN_END))
        else {
            continue;
        };
        result.push_str(&table(wanted)?);
        lines
            .find(|line| *line == END)
            .with_context(|| format!("after '{line}', '{END}' is missing"))?;
        result.push_str(END);
        result.push('\n');
    }
    Ok(result)
}

fn table(wanted: &str) -> anyhow::Result<String> {
    let (section, names) = wanted
        .split_once(": ")
        .with_context(|| format!("'{wanted}' names no section"))?;
    let mut table = String::from(
        "\n| key | default | type | meaning |\n|---|---|---|---|\n",
    );
    for name in names.split_whitespace() {
        let setting = find(section, name)
            .with_context(|| format!("there is no setting '{name}'"))?;
        let Described { default, text, .. } = setting;
        let kind = setting.kind.to_string();
        let kind = match setting.kind {
            // The rules of a list of choices are in the text.
            ValueType::Choice(_) => "a choice",
            _ => kind.as_str(),
        };
        let row = format!("| `{name}` | {default} | {kind} | {text} |\n");
        table.push_str(&row);
    }
    table.push('\n');
    Ok(table)
}

fn find(section: &str, name: &str) -> Option<&'static Described> {
    let plain = name.trim_start_matches(':');
    let plain = plain.strip_prefix("uilog.").unwrap_or(plain);
    DESCRIBED.iter().find(|it| match section {
        "sinks" => it.sink_option() == Some(plain),
        _ => it.section == section && it.name == plain,
    })
}

/// The module of Python with its docstring renewed.
pub(crate) fn with_docstring(module: &str) -> anyhow::Result<String> {
    const QUOTES: &str = "\"\"\"";
    let mut parts = module.splitn(3, QUOTES);
    let (Some(head), Some(_), Some(rest)) =
        (parts.next(), parts.next(), parts.next())
    else {
        bail!("there is no docstring");
    };
    let docstring = python::docstring();
    Ok(format!("{head}{QUOTES}{docstring}{QUOTES}{rest}"))
}
