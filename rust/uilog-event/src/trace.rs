//! Traces, as in W3C Trace Context.
//!
//! A command is a span. Its parent is in the environment, and child processes
//! inherit the command's span in theirs.

use std::fmt;

use crate::environment_block::entries;
use crate::environment_block::lookup;
use crate::event::Trace;

/// The variable with a process's parent span.
pub const VARIABLE: &[u8] = b"TRACEPARENT";

/// The variable by which `uilog run` passes its span to hg. It must not change
/// [`VARIABLE`], because it does not know when it starts its command whether
/// there is a sink for its span. So this variable also contains the value of
/// [`VARIABLE`]: if that has changed since, it takes precedence.
pub const RUN_VARIABLE: &str = "UILOG_TRACE";

/// Separates the two values in [`RUN_VARIABLE`].
const SEPARATOR: u8 = b' ';

/// The variable with vendors' data about the trace. It belongs to [`VARIABLE`],
/// and has no meaning without it.
pub const STATE_VARIABLE: &[u8] = b"TRACESTATE";

/// The flag that the trace is recorded.
const SAMPLED: u8 = 1;
/// The flag that says that the trace's id is random.
const RANDOM: u8 = 2;
/// The flags that have a meaning; others are not passed on.
// W3C Trace Context, level 2, section 3.2.2.5: the rest must be set to zero
const KNOWN_FLAGS: u8 = SAMPLED | RANDOM;

/// A span that others can be a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub id: u128,
    /// The span.
    pub span: u64,
    /// The trace's flags.
    pub flags: u8,
}

impl Context {
    /// Reads a `traceparent`; none if it is not valid.
    // W3C Trace Context, section 3.2.2: later versions may go on behind a `-`
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim();
        let (version, rest) = text.split_once('-')?;
        let (id, rest) = rest.split_once('-')?;
        let (span, rest) = rest.split_once('-')?;
        let (flags, more) = match rest.split_once('-') {
            Some((flags, _)) => (flags, true),
            None => (rest, false),
        };
        let version = u8::try_from(hex(version, 2)?).ok()?;
        if version == 0xff || version == 0 && more {
            return None;
        }
        let context = Self {
            id: hex(id, 32)?,
            span: u64::try_from(hex(span, 16)?).ok()?,
            flags: u8::try_from(hex(flags, 2)?).ok()? & KNOWN_FLAGS,
        };
        (context.id != 0 && context.span != 0).then_some(context)
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, span, flags } = self;
        write!(f, "00-{id:032x}-{span:016x}-{flags:02x}")
    }
}

/// Exactly `digits` lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit =
        |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_whole = text.len() == digits && text.bytes().all(is_digit);
    is_whole.then(|| u128::from_str_radix(text, 16).ok())?
}

/// The environment without [`VARIABLE`], and the value of that, if it is there.
pub fn split(environment: &[u8]) -> (Vec<u8>, Option<&[u8]>) {
    let mut others = Vec::with_capacity(environment.len());
    let mut traceparent = None;
    // What is between such variables is copied at once.
    let (mut copied, mut at) = (0, 0);
    for entry in entries(environment) {
        let end = (at + entry.len() + 1).min(environment.len());
        let value = entry.strip_prefix(VARIABLE);
        if let Some(value) = value.and_then(|it| it.strip_prefix(b"=")) {
            traceparent = traceparent.or(Some(value));
            others.extend_from_slice(&environment[copied..at]);
            copied = end;
        }
        at = end;
    }
    others.extend_from_slice(&environment[copied..]);
    (others, traceparent)
}

/// What an environment says of traces.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceVariables<'a> {
    /// The value of [`VARIABLE`].
    pub traceparent: Option<&'a [u8]>,
    /// The value of [`RUN_VARIABLE`].
    pub run: Option<&'a [u8]>,
}

impl TraceVariables<'_> {
    /// What a process with this environment is a part of.
    pub fn parent_context(self) -> Option<Context> {
        match self.run_context() {
            Some((own, _)) => Some(own),
            None => Context::parse(self.traceparent?),
        }
    }

    /// The span of `uilog run` in a process's environment, and its parent. None
    /// if [`VARIABLE`] has been changed since.
    fn run_context(self) -> Option<(Context, Option<Context>)> {
        let value = self.run?;
        let at = value.iter().position(|byte| *byte == SEPARATOR)?;
        let (context, inherited) = (&value[..at], &value[at + 1..]);
        let now = self.traceparent.unwrap_or_default();
        let context = Context::parse(context).filter(|_| now == inherited)?;
        Some((context, Context::parse(inherited)))
    }

    /// The span of the command that `uilog run` has started in this
    /// environment, which is also its own.
    pub fn adopted(self) -> Option<Trace> {
        let (context, outer) = self.run_context()?;
        Some(Trace {
            id: context.id,
            span: context.span,
            parent: outer.map_or(0, |outer| outer.span),
            flags: context.flags,
        })
    }
}

/// The value of [`RUN_VARIABLE`] for the command of `uilog run`.
pub fn run_value(trace: Trace, environment: &[u8]) -> Vec<u8> {
    let mut value = trace.context().to_string().into_bytes();
    value.push(SEPARATOR);
    let traceparent = lookup(environment, VARIABLE).unwrap_or_default();
    value.extend_from_slice(traceparent);
    value
}

impl Trace {
    /// The trace of a command within `around`; without that, a new trace with
    /// the ID `id`. `span` is not 0.
    pub fn begin(around: Option<Context>, id: u128, span: u64) -> Self {
        match around {
            Some(around) => Self {
                id: around.id,
                span,
                parent: around.span,
                flags: around.flags,
            },
            None => Self {
                id,
                span,
                parent: 0,
                flags: SAMPLED,
            },
        }
    }

    /// The trace of an event outside of any command: it belongs to the
    /// enclosing span.
    pub fn outside(around: Context) -> Self {
        Self {
            id: around.id,
            span: around.span,
            parent: 0,
            flags: around.flags,
        }
    }

    /// For what the command runs.
    pub fn context(&self) -> Context {
        Context {
            id: self.id,
            span: self.span,
            flags: self.flags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn said(environment: &[u8]) -> TraceVariables<'_> {
        TraceVariables {
            traceparent: lookup(environment, VARIABLE),
            run: lookup(environment, RUN_VARIABLE.as_bytes()),
        }
    }

    #[test]
    fn a_traceparent_is_read_as_the_standard_says() {
        let context = Context::parse(PARENT.as_bytes()).unwrap();
        assert_eq!(context.id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(context.span, 0x00f0_67aa_0ba9_02b7);
        assert_eq!(context.to_string(), PARENT);
        let later = PARENT.replacen("00", "42", 1);
        assert_eq!(Context::parse(later.as_bytes()), Some(context));
        let longer = format!("{later}-more");
        assert_eq!(Context::parse(longer.as_bytes()), Some(context));
        for (given, known) in [
            ("00", "00"),
            ("02", "02"),
            ("03", "03"),
            ("04", "00"),
            ("ff", "03"),
        ] {
            for version in ["00", "42"] {
                let text = PARENT.replacen("00", version, 1);
                let text = format!("{}{given}", &text[..text.len() - 2]);
                let told = Context::parse(text.as_bytes()).unwrap().to_string();
                assert_eq!(told, format!("{}{known}", &PARENT[..53]));
            }
        }
        let wrong = [
            "".to_owned(),
            "garbage".to_owned(),
            format!("{PARENT}-more"),
            PARENT.to_uppercase(),
            PARENT.replacen("00", "ff", 1),
            PARENT.replace("00f067aa0ba902b7", "0000000000000000"),
            PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            PARENT.replacen('4', "+", 1),
            PARENT[..PARENT.len() - 1].to_owned(),
        ];
        for text in wrong {
            assert_eq!(Context::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Context::parse(b"00-\xff"), None);
    }

    #[test]
    fn commands_are_part_of_what_is_around() {
        let around = Context::parse(PARENT.as_bytes()).unwrap();
        let trace = Trace::begin(Some(around), 1, 2);
        assert_eq!((trace.id, trace.span), (around.id, 2));
        assert_eq!(trace.parent, around.span);
        let alone = Trace::begin(None, 1, 2);
        assert_eq!((alone.id, alone.span, alone.parent), (1, 2, 0));
        assert_eq!(alone.flags, SAMPLED);
    }

    #[test]
    fn the_variable_is_split_off() {
        let block = b"A=1\0TRACEPARENT=x\0TRACEPARENT2=y\0TRACEPARENT=z\0";
        let (rest, value) = split(block);
        assert_eq!(rest, b"A=1\0TRACEPARENT2=y\0");
        assert_eq!(value, Some(&b"x"[..]));
        assert_eq!(split(&rest), (rest.clone(), None));
    }

    #[test]
    fn what_run_gives_counts_until_somebody_nearer_says_more() {
        let block = |entries: &[&str]| -> Vec<u8> {
            let entries = entries.iter().map(|entry| format!("{entry}\0"));
            entries.collect::<String>().into_bytes()
        };
        let outer = block(&[&format!("TRACEPARENT={PARENT}")]);
        let ci = said(&outer).parent_context().unwrap();
        let trace = Trace::begin(Some(ci), 1, 0xabc);
        let value = String::from_utf8(run_value(trace, &outer)).unwrap();
        let given = format!("{RUN_VARIABLE}={value}");
        let inner = block(&[&format!("TRACEPARENT={PARENT}"), &given]);
        assert_eq!(said(&inner).parent_context(), Some(trace.context()));
        assert_eq!(said(&inner).adopted(), Some(trace));
        let nearer = PARENT.replace("b7-01", "b8-01");
        let inner = block(&[&given, &format!("TRACEPARENT={nearer}")]);
        assert_eq!(
            said(&inner).parent_context(),
            Context::parse(nearer.as_bytes())
        );
        assert_eq!(said(&inner).adopted(), None);
        let value = run_value(trace, b"");
        let given = [RUN_VARIABLE.as_bytes(), b"=", &value, b"\0"].concat();
        assert_eq!(said(&given).parent_context(), Some(trace.context()));
        assert_eq!(said(&given).adopted().unwrap().parent, 0);
    }
}
