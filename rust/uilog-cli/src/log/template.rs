//! How `uilog log` shows records: a table, JSON, CSV, or a template.

use uilog_history::fields::Field;

/// How they are shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Format {
    /// For people, with these columns.
    Text(Vec<Field>),
    /// As they were written, or of each these columns.
    Json(Option<Vec<Field>>),
    /// Comma-separated values: RFC 4180.
    Csv(Vec<Field>),
    /// Texts and fields in turn.
    Template(Vec<Piece>),
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    Field(Field),
}

impl Format {
    /// A template: `{COLUMN}`, `\n`, `\t`, and `\` before anything else.
    ///
    /// # Errors
    ///
    /// There is no such column, or a brace is not closed.
    pub(super) fn template(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars();
        let mut has_fields = false;
        while let Some(character) = rest.next() {
            match character {
                '\\' => plain.push(match rest.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some(other) => other,
                    None => '\\',
                }),
                '{' => {
                    let text = rest.as_str();
                    let (name, after) =
                        text.split_once('}').ok_or_else(|| {
                            format!("-T: '{{{text}' lacks its brace")
                        })?;
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(Piece::Field(Field::named(name)?));
                    rest = after.chars();
                    has_fields = true;
                }
                other => plain.push(other),
            }
        }
        if !has_fields {
            return Err(format!(
                "-T {text}: it is none of json and csv, and as a template it \
                 has no column, such as {{command}}"
            ));
        }
        pieces.push(Piece::Text(plain));
        Ok(Self::Template(pieces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_columns_and_escapes() {
        let format = Format::template("a\\t{when} \\{{command}\\n").unwrap();
        let text = |it: &str| Piece::Text(it.to_owned());
        let field = |it| Piece::Field(Field::named(it).unwrap());
        let pieces = vec![
            text("a\t"),
            field("when"),
            text(" {"),
            field("command"),
            text("\n"),
        ];
        assert_eq!(format, Format::Template(pieces));
        for (wrong, why) in [
            ("jsno", "it is none of json and csv"),
            ("{comand}", "did you mean 'command'?"),
            ("{when", "lacks its brace"),
        ] {
            let error = Format::template(wrong).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
