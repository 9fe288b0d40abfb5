//! A record in a spool, parsed without copying its texts.
//!
//! Records are sent from this form. Texts without escapes in JSON are borrowed.
//! The fields are those of `record`, without those that no collector receives;
//! fields of later versions are ignored.
//!
//! Knows JSON. Must not know OpenTelemetry.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde::de::value::MapAccessDeserializer;
use serde::de::value::SeqAccessDeserializer;

use crate::record::Counts;
use crate::record::Rollup;
use crate::record::Usage;

/// The name of the event of a record of losses. No other event may have it.
pub(crate) const LOSS_EVENT: &str = "uilogloss";

/// Options among which a name is searched for one by one.
const FEW_OPTIONS: usize = 32;

/// See [`crate::record::Record`].
#[derive(Debug, Deserialize)]
pub(crate) struct Stored<'a> {
    #[serde(rename = "schema")]
    _schema: u32,
    #[serde(borrow)]
    pub(crate) id: Text<'a>,
    pub(crate) event: Text<'a>,
    pub(crate) time: Text<'a>,
    #[serde(default)]
    pub(crate) duration: Option<f64>,
    #[serde(default)]
    pub(crate) trace_id: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) span_id: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) parent_span_id: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) trace_flags: Option<u8>,
    #[serde(default)]
    pub(crate) trace_state: Option<Text<'a>>,
    pub(crate) session: Text<'a>,
    #[serde(default)]
    pub(crate) parent_session: Option<Text<'a>>,
    pub(crate) seq: u64,
    pub(crate) message: Text<'a>,
    #[serde(default)]
    pub(crate) options: Options<'a>,
    #[serde(default)]
    pub(crate) options_left_out: u64,
    pub(crate) process: Process<'a>,
    pub(crate) host: Host<'a>,
    #[serde(default)]
    pub(crate) cicd: Option<Cicd<'a>>,
    #[serde(default)]
    pub(crate) repository: Option<Repository<'a>>,
    #[serde(default)]
    pub(crate) usage: Option<Usage>,
    #[serde(default)]
    pub(crate) hook: Option<Hook<'a>>,
    #[serde(default)]
    pub(crate) blocked: BTreeMap<String, f64>,
    #[serde(default)]
    pub(crate) counts: Option<Counts>,
    #[serde(default)]
    pub(crate) rollup: Option<Rollup>,
    #[serde(default)]
    pub(crate) lost: u64,
    #[serde(default)]
    pub(crate) sample_rate: Option<f64>,
    #[serde(default)]
    pub(crate) sink: Option<Numbered<'a>>,
    /// How many there are.
    #[serde(default)]
    pub(crate) truncated: Members,
}

/// See [`crate::record::Process`].
#[derive(Debug, Deserialize)]
pub(crate) struct Process<'a> {
    pub(crate) pid: u32,
    #[serde(borrow)]
    pub(crate) executable: Text<'a>,
    #[serde(default)]
    pub(crate) program: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) hg_version: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) cwd: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) user: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) uid: Option<u32>,
    #[serde(default)]
    pub(crate) command: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) command_line: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) exit_code: Option<i64>,
    #[serde(default)]
    pub(crate) signal: Option<i64>,
}

/// See [`crate::record::Host`].
#[derive(Debug, Deserialize)]
pub(crate) struct Host<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    #[serde(default)]
    pub(crate) id: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) arch: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) os: Option<Text<'a>>,
}

/// See [`crate::record::Cicd`].
#[derive(Debug, Deserialize)]
pub(crate) struct Cicd<'a> {
    #[serde(borrow, default)]
    pub(crate) pipeline_name: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) run_id: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) run_url: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) task_name: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) task_run_id: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) task_run_url: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) worker_id: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) worker_name: Option<Text<'a>>,
}

/// See [`crate::record::Repository`].
#[derive(Debug, Deserialize)]
pub(crate) struct Repository<'a> {
    #[serde(borrow)]
    pub(crate) root: Text<'a>,
    #[serde(rename = "name")]
    _name: Text<'a>,
    #[serde(default)]
    pub(crate) url: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) head_name: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) head_revision: Option<Text<'a>>,
}

/// See [`crate::record::Hook`].
#[derive(Debug, Deserialize)]
pub(crate) struct Hook<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    pub(crate) command: Text<'a>,
    #[serde(default)]
    pub(crate) has_span: bool,
}

/// See [`crate::record::Numbered`].
#[derive(Debug, Deserialize)]
pub(crate) struct Numbered<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    pub(crate) stream: Text<'a>,
    pub(crate) number: u64,
}

impl<'a> Stored<'a> {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// It is no record, and why.
    pub(crate) fn read(payload: &'a [u8]) -> Result<Self, String> {
        // Once for all, instead of text by text.
        let text = std::str::from_utf8(payload)
            .map_err(|error| format!("it is not a record: {error}"))?;
        serde_json::from_str(text)
            .map_err(|error| format!("it is not a record: {error}"))
    }
}

/// A text, which is copied only where it has escapes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(
                self,
                text: &'de str,
            ) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        from.deserialize_str(Reader)
    }
}

/// The options, in order.
#[derive(Debug, Default)]
pub(crate) struct Options<'a>(Vec<(Text<'a>, Value<'a>)>);

impl<'a> Options<'a> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// The number of this name, if it is one.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        let value = self.iter().find(|it| it.0 == name)?.1;
        match value {
            Value::Float(number) => Some(*number),
            Value::Int(number) => Some(*number as f64),
            _ => None,
        }
    }

    /// The text of this name, if it is one.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer of this name, if it is one.
    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        match self.value(name)? {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// Whether the option of this name is true.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Bool(true)))
    }

    fn value(&self, name: &str) -> Option<&Value<'a>> {
        Some(self.iter().find(|it| it.0 == name)?.1)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Options<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Options<'de>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(
                self,
                mut map: M,
            ) -> Result<Options<'de>, M::Error> {
                let mut all: Vec<(Text<'de>, Value<'de>)> = Vec::new();
                // Of many, where each name is.
                let mut places = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    let known = if all.len() < FEW_OPTIONS {
                        all.iter().position(|it| it.0 == name)
                    } else {
                        if places.is_empty() {
                            let names = all.iter().enumerate();
                            places.extend(
                                names.map(|(at, it)| (it.0.clone(), at)),
                            );
                        }
                        places.get(&name).copied()
                    };
                    // The last one of a name counts.
                    if let Some(at) = known {
                        all[at].1 = value;
                        continue;
                    }
                    if !places.is_empty() {
                        places.insert(name.clone(), all.len());
                    }
                    all.push((name, value));
                }
                Ok(Options(all))
            }
        }

        from.deserialize_map(Reader)
    }
}

/// The value of an option.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Text<'a>),
    /// A list or an object, which this program does not write.
    Other(serde_json::Value),
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Value<'de>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a value of JSON")
            }

            fn visit_unit<E: Error>(self) -> Result<Value<'de>, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E: Error>(self, it: bool) -> Result<Value<'de>, E> {
                Ok(Value::Bool(it))
            }

            fn visit_i64<E: Error>(self, it: i64) -> Result<Value<'de>, E> {
                Ok(Value::Int(it))
            }

            fn visit_u64<E: Error>(self, it: u64) -> Result<Value<'de>, E> {
                Ok(match i64::try_from(it) {
                    Ok(it) => Value::Int(it),
                    Err(_) => Value::Float(it as f64),
                })
            }

            fn visit_f64<E: Error>(self, it: f64) -> Result<Value<'de>, E> {
                Ok(Value::Float(it))
            }

            fn visit_borrowed_str<E: Error>(
                self,
                text: &'de str,
            ) -> Result<Value<'de>, E> {
                Ok(Value::Text(Text(Cow::Borrowed(text))))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Value<'de>, E> {
                Ok(Value::Text(Text(Cow::Owned(text.to_owned()))))
            }

            fn visit_seq<S: SeqAccess<'de>>(
                self,
                seq: S,
            ) -> Result<Value<'de>, S::Error> {
                let seq = SeqAccessDeserializer::new(seq);
                serde_json::Value::deserialize(seq).map(Value::Other)
            }

            fn visit_map<M: MapAccess<'de>>(
                self,
                map: M,
            ) -> Result<Value<'de>, M::Error> {
                let map = MapAccessDeserializer::new(map);
                serde_json::Value::deserialize(map).map(Value::Other)
            }
        }

        from.deserialize_any(Reader)
    }
}

/// How many members an object has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Members(pub(crate) u64);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(
                self,
                mut map: M,
            ) -> Result<Members, M::Error> {
                let mut count = 0;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Members(count))
            }
        }

        from.deserialize_map(Reader)
    }
}
