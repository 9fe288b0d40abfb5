//! The options of an event in its record.

use std::borrow::Cow;

use serde_json::Map;
use serde_json::Value as Json;
use uilog_event::event::Event;
use uilog_event::event::Value;
use uilog_redact::Redacted;

use super::Composer;
use super::command::USAGE;
use super::command::unchanged;
use super::command::usage;
use super::size::MAX_NAME_BYTES;
use super::size::MAX_OPTIONS_JSON;
use super::size::OPTION_JSON;
use super::size::number;
use crate::text::Texts;
use crate::text::TruncatedText;
use crate::text::json_len;

impl Composer {
    /// The options, and how many found no room.
    pub(super) fn options(
        &self,
        event: &Event<'_>,
        texts: &mut Texts,
    ) -> (Map<String, Json>, u64) {
        let mut options = Map::new();
        let mut left_out = 0;
        let mut left = MAX_OPTIONS_JSON;
        let is_usage_told = event.usage.is_none() && usage(event).is_some();
        for option in &event.options {
            // In the record, `usage` has it.
            if is_usage_told && USAGE.iter().any(|it| *it == &*option.key) {
                continue;
            }
            let name = self.name(&option.key);
            let key = unused_key(&name, &options);
            // As the name of the value, of its bytes and of its length.
            let cost = 3 * json_len(&key) + OPTION_JSON;
            let Some(room) = left.checked_sub(cost) else {
                left_out += 1;
                continue;
            };
            let before = texts.spent;
            let is_user = *option.key == *b"remote_user";
            let redact = |text| {
                if uilog_redact::is_own_value(&event.name, &option.key, text) {
                    return TruncatedText::redacted(text, unchanged);
                }
                let text = match &self.redactor {
                    Some(redactor) if is_user && self.hashes_users => {
                        return TruncatedText::redacted(text, |text| {
                            Redacted {
                                text: redactor.redact_user(text),
                                places: Vec::new(),
                            }
                        });
                    }
                    _ => text,
                };
                self.shown(
                    text,
                    |redactor, text| {
                        if *option.key == *b"url" {
                            redactor.redact_url(text)
                        } else {
                            redactor.redact_option(&option.key, text)
                        }
                    },
                    |redactor, text| {
                        redactor.reduce_option(&event.name, &option.key, text)
                    },
                )
            };
            let place = ["options", &key];
            let value = match &option.value {
                Value::Null => Json::Null,
                Value::Bool(value) => (*value).into(),
                Value::Int(digits) | Value::Float(digits) => {
                    let shown = redact(&digits.0);
                    match number(shown.bytes(), &option.value) {
                        Some(number) => Json::Number(number),
                        None => texts.put(&place, shown, room).into(),
                    }
                }
                Value::Bytes(text) | Value::Str(text) => {
                    texts.put(&place, redact(&text.0), room).into()
                }
            };
            left = room.saturating_sub(texts.spent - before);
            options.insert(key, value);
        }
        (options, left_out)
    }

    /// The name of an option, a hook in it, or the like.
    pub(super) fn name<'t>(&self, name: &'t [u8]) -> Cow<'t, [u8]> {
        match &self.redactor {
            Some(redactor) if self.redacts && self.reduces => {
                redactor.reduce_name(name).text
            }
            _ => Cow::Borrowed(name),
        }
    }
}

/// The option's name, or one like it that is not taken.
fn unused_key(name: &[u8], options: &Map<String, Json>) -> String {
    let name = &name[..name.len().min(MAX_NAME_BYTES)];
    let name = String::from_utf8_lossy(name);
    let mut key = name.to_string();
    let mut number = 2;
    while options.contains_key(&key) {
        key = format!("{name}_{number}");
        number += 1;
    }
    key
}
