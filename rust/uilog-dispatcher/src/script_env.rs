//! The environment of a script: stock logtoprocess's variables, corrected.
//!
//! Pure: takes the event, the user's environment and the limits, and returns
//! the strings. Decides what is truncated, and how variables are named.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::CString;

use uilog_event::environment_block::split_environment;
use uilog_event::event::Event;
use uilog_event::trace;
use uilog_sys::spawn::MAX_STRING_BYTES;

/// Bytes of the message that a script gets at most.
// hg: logtoprocess.processlogger.log
pub const MAX_MESSAGE_BYTES: usize = 100_000;

/// Appended to a truncated value.
pub const TRUNCATED: &[u8] = b" (truncated)";

/// The bytes that Linux never refuses in total (`ARG_MAX` of limits.h).
const MIN_TOTAL_BYTES: usize = 128 * 1024;
/// The bytes that Linux never exceeds in total (three quarters of
/// `_STK_LIM`).
const MAX_TOTAL_BYTES: usize = 6 * 1024 * 1024;
/// Room for the program's path, the auxiliary vector and alignment.
const SLACK_BYTES: usize = 4096;
/// The size of a string's pointer.
const POINTER_BYTES: usize = size_of::<usize>();
/// A value of the event is not truncated below this to make room for the user's
/// environment.
const SHORT_BYTES: usize = 1024;
/// Bytes of an option key that are named in `UILOG_TRUNCATED`.
const MAX_SHOWN_NAME_BYTES: usize = 64;

/// The kernel's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one string, its NUL included.
    pub string: usize,
    /// Of arguments and environment together, with their pointers.
    pub total: usize,
}

impl Limits {
    /// The limits under a stack limit (`RLIMIT_STACK`, bytes).
    // Linux: fs/exec.c, bprm_stack_limits
    pub fn for_stack(stack: u64) -> Self {
        let quarter = usize::try_from(stack / 4).unwrap_or(usize::MAX);
        Self {
            string: MAX_STRING_BYTES,
            total: quarter.clamp(MIN_TOTAL_BYTES, MAX_TOTAL_BYTES),
        }
    }

    /// The limits to try after these turned out too generous.
    pub fn halved(self) -> Self {
        Self {
            string: self.string / 2,
            total: self.total / 2,
        }
    }
}

/// The input of a script.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The event.
    pub event: &'a Event<'a>,
    /// hg's executable.
    pub hg: &'a [u8],
    /// How many scripts this hg is nested in.
    pub depth: u32,
    /// hg's environment: `NAME=value`, each followed by NUL.
    pub base: &'a [u8],
    /// What hg's environment says in `TRACEPARENT`, unless `base` does.
    pub traceparent: Option<&'a [u8]>,
    /// The arguments' size with their pointers.
    pub argument_bytes: usize,
}

/// The origin of a variable decides when it is truncated: the event's first,
/// the user's if they leave no room for short values, uilog's never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ours,
    User,
    Event,
}

#[derive(Debug)]
struct Variable<'a> {
    name: Cow<'a, [u8]>,
    value: Cow<'a, [u8]>,
    kind: Kind,
    /// How many bytes of the value stay; at most its length.
    kept: usize,
}

impl Variable<'_> {
    fn is_cut(&self) -> bool {
        self.kept < self.value.len()
    }

    fn value_bytes(&self) -> usize {
        self.kept + if self.is_cut() { TRUNCATED.len() } else { 0 }
    }

    /// Its part of the total: `NAME=value`, NUL, pointer.
    fn cost(&self) -> usize {
        self.name.len() + 1 + self.value_bytes() + 1 + POINTER_BYTES
    }

    /// Truncates the value to `bytes`, if that is shorter.
    fn cut_to(&mut self, bytes: usize) {
        if self.value_bytes() > bytes {
            self.kept = self.kept.min(bytes.saturating_sub(TRUNCATED.len()));
        }
    }

    fn into_string(self) -> Option<CString> {
        let mut string = Vec::with_capacity(self.cost());
        string.extend_from_slice(&self.name);
        string.push(b'=');
        string.extend_from_slice(&self.value[..self.kept]);
        if self.is_cut() {
            string.extend_from_slice(TRUNCATED);
        }
        CString::new(string).ok()
    }
}

/// The environment, each string `NAME=value`, within `limits`.
pub fn build(input: &Input<'_>, limits: Limits) -> Vec<CString> {
    let event = input.event;
    let mut variables: Vec<Variable<'_>> = Vec::new();
    let mut add = |name: &'static [u8], value: Cow<'_, [u8]>, kind| {
        let value = visible_nul(&value).into_owned();
        let kept = match name {
            b"MSG1" => value.len().min(MAX_MESSAGE_BYTES),
            _ => value.len(),
        };
        let (name, value) = (Cow::Borrowed(name), Cow::Owned(value));
        variables.push(Variable {
            name,
            value,
            kind,
            kept,
        });
    };
    add(b"EVENT", Cow::Borrowed(&event.name), Kind::Event);
    add(b"HGPID", own(event.pid.to_string()), Kind::Ours);
    add(b"MSG1", Cow::Borrowed(&event.message), Kind::Event);
    add(b"HG", Cow::Borrowed(input.hg), Kind::Ours);
    add(b"UILOG_EVENT_ID", own(event.id()), Kind::Ours);
    add(b"UILOG_SESSION", own(event.session.to_string()), Kind::Ours);
    add(b"UILOG_TIME", own(event.time.to_rfc3339()), Kind::Ours);
    add(
        b"UILOG_DEPTH",
        own((input.depth + 1).to_string()),
        Kind::Ours,
    );
    add_options(event, &mut variables);
    let mut cut: Vec<Vec<u8>> = Vec::new();
    add_user_environment(input, &mut variables);
    variables.retain(|variable| {
        let fits = variable.name.len() + 2 + TRUNCATED.len() <= limits.string;
        if !fits {
            cut.push(shown_name(&variable.name));
        }
        fits
    });
    for variable in &mut variables {
        let room = limits.string - variable.name.len() - 2;
        variable.cut_to(room);
    }
    // Room for the list of truncated values, which is not known yet.
    let list_bytes: usize =
        MAX_SHOWN_NAME_BYTES * (2 + variables.len().min(64));
    let available = limits
        .total
        .saturating_sub(input.argument_bytes + SLACK_BYTES + list_bytes);
    // The script's child processes get the same environment, and arguments: an
    // eighth of the total is reserved for these, unless the user's environment
    // needs it.
    let generous = available - available / 8;
    fit(&mut variables, generous, &[Kind::Event], SHORT_BYTES);
    fit(&mut variables, available, &[Kind::User], 0);
    fit(&mut variables, available, &[Kind::Event, Kind::User], 0);
    cut.extend(drop_last(&mut variables, available));
    cut.extend(
        variables
            .iter()
            .filter(|variable| variable.is_cut())
            .map(|variable| shown_name(&variable.name)),
    );
    if !cut.is_empty() {
        let name = b"UILOG_TRUNCATED";
        let room = list_bytes.min(limits.string) - name.len() - 2;
        let list = join_within(&cut, room);
        variables.push(Variable {
            name: Cow::Borrowed(name),
            kept: list.len(),
            value: Cow::Owned(list),
            kind: Kind::Ours,
        });
    }
    variables
        .into_iter()
        .filter_map(Variable::into_string)
        .collect()
}

/// Cuts values of these kinds, the longest first, until everything fits into
/// `available` bytes or none is longer than `shortest`.
fn fit(
    variables: &mut [Variable<'_>],
    available: usize,
    kinds: &[Kind],
    shortest: usize,
) {
    if total_cost(variables) <= available {
        return;
    }
    // Cutting the longest first, until it fits, means one common bound.
    let fits_with = |bound: usize| {
        let cost = variables.iter().map(|variable| {
            let spare = if kinds.contains(&variable.kind) {
                variable.value_bytes().saturating_sub(bound)
            } else {
                0
            };
            variable.cost() - spare
        });
        cost.sum::<usize>() <= available
    };
    let mut low = shortest.max(TRUNCATED.len());
    let longest = variables.iter().map(Variable::value_bytes).max();
    let mut high = longest.unwrap_or(low).max(low);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits_with(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    for variable in variables {
        if kinds.contains(&variable.kind) {
            variable.cut_to(low);
        }
    }
}

fn total_cost(variables: &[Variable<'_>]) -> usize {
    variables.iter().map(Variable::cost).sum()
}

/// If the names alone are too long, drops the last options, then the last of
/// the user's variables; returns the dropped ones.
fn drop_last(
    variables: &mut Vec<Variable<'_>>,
    available: usize,
) -> Vec<Vec<u8>> {
    let mut dropped = Vec::new();
    let mut total = total_cost(variables);
    for is_spare in [
        |variable: &Variable<'_>| variable.name.starts_with(b"OPT_"),
        |variable: &Variable<'_>| variable.kind == Kind::User,
    ] {
        let mut index = variables.len();
        while total > available && index > 0 {
            index -= 1;
            if is_spare(&variables[index]) {
                let variable = variables.remove(index);
                total -= variable.cost();
                dropped.push(shown_name(&variable.name));
            }
        }
    }
    dropped
}

fn add_options<'a>(event: &'a Event<'a>, variables: &mut Vec<Variable<'a>>) {
    let mut taken: HashSet<Vec<u8>> = HashSet::new();
    let mut push = |name: Vec<u8>, value: &Cow<'a, [u8]>| {
        if taken.insert(name.clone()) {
            variables.push(Variable {
                name: Cow::Owned(name),
                kept: value.len(),
                value: value.clone(),
                kind: Kind::Event,
            });
            return true;
        }
        false
    };
    // Stock names first, so that a replaced name cannot hide one.
    for option in &event.options {
        if !option.key.contains(&b'=') && !option.key.contains(&0) {
            let value = visible_nul(option.value.for_shell());
            push(stock_name(&option.key), &value);
        }
    }
    for option in &event.options {
        let stock = stock_name(&option.key);
        let usable = usable_name(&stock);
        if usable == stock {
            continue;
        }
        let value = visible_nul(option.value.for_shell());
        let mut name = usable.clone();
        let mut number = 2;
        while !push(name.clone(), &value) {
            name = usable.clone();
            name.extend_from_slice(format!("_{number}").as_bytes());
            number += 1;
        }
    }
}

// hg: logtoprocess.processlogger.log
fn stock_name(key: &[u8]) -> Vec<u8> {
    let mut name = b"OPT_".to_vec();
    name.extend(key.iter().map(u8::to_ascii_uppercase));
    name
}

/// The name, with every byte replaced that shells do not accept in one.
fn usable_name(name: &[u8]) -> Vec<u8> {
    let usable = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    name.iter()
        .map(|b| if usable(b) { *b } else { b'_' })
        .collect()
}

/// Adds the user's variables that the event does not set. Of two with one
/// name the first counts, as for getenv(3).
fn add_user_environment<'a>(
    input: &Input<'a>,
    variables: &mut Vec<Variable<'a>>,
) {
    let mut taken: HashSet<Vec<u8>> = variables
        .iter()
        .map(|variable| variable.name.to_vec())
        .collect();
    // An hg that the script runs must not inherit what was truncated for the
    // script.
    taken.insert(b"UILOG_TRUNCATED".to_vec());
    let traceparent = input.traceparent.map(|it| (trace::VARIABLE, it));
    let rest = split_environment(input.base);
    for (name, value) in traceparent.into_iter().chain(rest) {
        if taken.insert(name.to_vec()) {
            variables.push(Variable {
                name: Cow::Borrowed(name),
                value: Cow::Borrowed(value),
                kind: Kind::User,
                kept: value.len(),
            });
        }
    }
}

/// The bytes with every NUL, which no environment can hold, as `\0`.
fn visible_nul(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&0) {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned(
        bytes
            .split(|byte| *byte == 0)
            .collect::<Vec<_>>()
            .join(&b"\\0"[..]),
    )
}

fn shown_name(name: &[u8]) -> Vec<u8> {
    let mut shown = usable_name(name);
    shown.truncate(MAX_SHOWN_NAME_BYTES);
    shown
}

/// The names, as many of them as fit, with spaces between.
fn join_within(names: &[Vec<u8>], room: usize) -> Vec<u8> {
    let mut list = Vec::new();
    for name in names {
        let separator = usize::from(!list.is_empty());
        if list.len() + separator + name.len() > room {
            break;
        }
        list.extend_from_slice(&b" "[..separator]);
        list.extend_from_slice(name);
    }
    list
}

fn own(text: String) -> Cow<'static, [u8]> {
    Cow::Owned(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use uilog_event::event::EventOption;
    use uilog_event::event::SessionId;
    use uilog_event::event::Text;
    use uilog_event::event::Value;

    use super::*;

    const LIMITS: Limits = Limits {
        string: MAX_STRING_BYTES,
        total: 2 * 1024 * 1024,
    };

    fn event<'a>(
        message: &'a [u8],
        options: &'a [(Vec<u8>, Vec<u8>)],
    ) -> Event<'a> {
        let options = options.iter().map(|(key, value)| EventOption {
            key: Cow::Borrowed(key),
            value: Value::Bytes(Text(Cow::Borrowed(value))),
        });
        Event {
            session: SessionId(1),
            seq: 2,
            pid: 3,
            message: Cow::Borrowed(message),
            options: options.collect(),
            ..Event::bare(b"foo")
        }
    }

    fn built(
        message: &[u8],
        options: &[(Vec<u8>, Vec<u8>)],
        base: &[u8],
        limits: Limits,
    ) -> Vec<CString> {
        let event = event(message, options);
        let hg = b"/usr/bin/hg";
        build(
            &Input {
                event: &event,
                hg,
                depth: 0,
                base,
                traceparent: None,
                argument_bytes: 100,
            },
            limits,
        )
    }

    fn map(strings: &[CString]) -> HashMap<Vec<u8>, Vec<u8>> {
        let pairs = strings.iter().map(|string| {
            let bytes = string.as_bytes();
            let at = bytes.iter().position(|byte| *byte == b'=').unwrap();
            (bytes[..at].to_vec(), bytes[at + 1..].to_vec())
        });
        pairs.collect()
    }

    fn options(pairs: &[(&[u8], &[u8])]) -> Vec<(Vec<u8>, Vec<u8>)> {
        pairs
            .iter()
            .map(|(k, v)| (k.to_vec(), v.to_vec()))
            .collect()
    }

    fn get<'a>(map: &'a HashMap<Vec<u8>, Vec<u8>>, name: &str) -> &'a [u8] {
        map.get(name.as_bytes()).map_or(b"<unset>", Vec::as_slice)
    }

    #[test]
    fn the_variables_are_those_of_stock_hg() {
        let options = options(&[(b"spam", b"eggs")]);
        let base = b"EVENT=old\0PATH=/bin\0PATH=/second\0A=b=c\0junk\0=x\0";
        let map = map(&built(b"a message\n", &options, base, LIMITS));
        assert_eq!(get(&map, "EVENT"), b"foo");
        assert_eq!(get(&map, "HGPID"), b"3");
        assert_eq!(get(&map, "MSG1"), b"a message\n");
        assert_eq!(get(&map, "OPT_SPAM"), b"eggs");
        assert_eq!(get(&map, "HG"), b"/usr/bin/hg");
        assert_eq!(get(&map, "PATH"), b"/bin");
        assert_eq!(get(&map, "A"), b"b=c");
        assert_eq!(get(&map, "UILOG_TRUNCATED"), b"<unset>");
        assert_eq!(get(&map, "UILOG_DEPTH"), b"1");
        assert_eq!(map.len(), 11);
    }

    #[test]
    fn unusable_keys_get_a_usable_name() {
        let options = options(&[
            (b"exthook-pre-status_blocked", b"1"),
            (b"a=b", b"2"),
            (b"c\0d", b"3"),
            (b"e_f", b"4"),
            (b"e-f", b"5"),
            (b"e.f", b"6"),
        ]);
        let map = map(&built(b"", &options, b"", LIMITS));
        assert_eq!(get(&map, "OPT_EXTHOOK-PRE-STATUS_BLOCKED"), b"1");
        assert_eq!(get(&map, "OPT_EXTHOOK_PRE_STATUS_BLOCKED"), b"1");
        assert_eq!(get(&map, "OPT_A_B"), b"2");
        assert_eq!(get(&map, "OPT_A"), b"<unset>");
        assert_eq!(get(&map, "OPT_C_D"), b"3");
        assert_eq!(get(&map, "OPT_E_F"), b"4");
        assert_eq!(get(&map, "OPT_E-F"), b"5");
        assert_eq!(get(&map, "OPT_E_F_2"), b"5");
        assert_eq!(get(&map, "OPT_E_F_3"), b"6");
    }

    #[test]
    fn nul_bytes_become_visible() {
        let options = options(&[(b"o", b"\0x\0")]);
        let map = map(&built(b"a\0b", &options, b"", LIMITS));
        assert_eq!(get(&map, "MSG1"), b"a\\0b");
        assert_eq!(get(&map, "OPT_O"), b"\\0x\\0");
    }

    #[test]
    fn a_message_is_cut_where_stock_hg_cuts_it() {
        let whole = vec![b'm'; MAX_MESSAGE_BYTES];
        let map_of = |message: &[u8]| map(&built(message, &[], b"", LIMITS));
        assert_eq!(get(&map_of(&whole), "MSG1"), whole);
        let longer = vec![b'm'; MAX_MESSAGE_BYTES + 1];
        let map = map_of(&longer);
        assert_eq!(get(&map, "MSG1"), [&whole[..], TRUNCATED].concat());
        assert_eq!(get(&map, "UILOG_TRUNCATED"), b"MSG1");
    }

    #[test]
    fn the_longest_options_are_cut_first() {
        let mut many = options(&[(b"short", b"kept")]);
        for number in 0..40 {
            let key = format!("long{number:02}").into_bytes();
            many.push((key, vec![b'x'; 100_000]));
        }
        many.push((b"huge".to_vec(), vec![b'y'; 4_000_000]));
        let base =
            [b"USER_VAR=".to_vec(), vec![b'u'; 120_000], vec![0]].concat();
        let strings = built(b"message", &many, &base, LIMITS);
        let map = map(&strings);
        assert_eq!(get(&map, "OPT_SHORT"), b"kept");
        assert_eq!(get(&map, "MSG1"), b"message");
        assert_eq!(get(&map, "USER_VAR").len(), 120_000);
        assert!(get(&map, "OPT_HUGE").ends_with(b"y (truncated)"));
        assert_eq!(get(&map, "OPT_HUGE").len(), get(&map, "OPT_LONG07").len());
        let list = get(&map, "UILOG_TRUNCATED");
        let names: Vec<_> = list.split(|byte| *byte == b' ').collect();
        assert!(names.contains(&&b"OPT_HUGE"[..]));
        assert!(names.contains(&&b"OPT_LONG39"[..]));
        assert!(!names.contains(&&b"OPT_SHORT"[..]));
    }

    #[test]
    fn the_users_own_environment_is_cut_only_if_it_must_be() {
        let base = |bytes: usize| {
            let variable =
                [b"V=".to_vec(), vec![b'u'; 100_000], vec![0]].concat();
            let mut base = Vec::new();
            for number in 0..bytes / 100_000 {
                base.extend_from_slice(format!("N{number}").as_bytes());
                base.extend_from_slice(&variable);
            }
            base
        };
        let fitting = map(&built(b"m", &[], &base(1_900_000), LIMITS));
        assert_eq!(get(&fitting, "N3V").len(), 100_000);
        assert_eq!(get(&fitting, "MSG1"), b"m");
        let word = options(&[(b"word", b"a short option")]);
        let too_big = map(&built(b"m", &word, &base(7_000_000), LIMITS));
        assert!(get(&too_big, "N3V").ends_with(TRUNCATED));
        assert_eq!(get(&too_big, "OPT_WORD"), b"a short option");
        assert_eq!(get(&too_big, "HGPID"), b"3");
    }

    #[test]
    fn where_names_alone_are_too_much_the_last_are_left_out() {
        let many: Vec<_> = (0..100_000)
            .map(|number| (format!("n{number}").into_bytes(), vec![b'1']))
            .collect();
        let strings = built(b"m", &many, b"V=user\0", LIMITS);
        let map = map(&strings);
        assert_eq!(get(&map, "OPT_N0"), b"1");
        assert_eq!(get(&map, "OPT_N99999"), b"<unset>");
        assert_eq!(get(&map, "V"), b"user");
        let list = get(&map, "UILOG_TRUNCATED");
        assert!(list.starts_with(b"OPT_N99999 OPT_N99998 "));
    }

    #[test]
    fn a_key_beyond_the_limit_is_left_out_and_named() {
        let options = vec![(vec![b'k'; 200_000], b"v".to_vec())];
        let map = map(&built(b"m", &options, b"", LIMITS));
        assert_eq!(get(&map, "MSG1"), b"m");
        let list = get(&map, "UILOG_TRUNCATED");
        assert_eq!(list, [b"OPT_".to_vec(), vec![b'K'; 60]].concat());
    }

    proptest! {
        #[test]
        fn whatever_comes_the_limits_hold(
            message in proptest::collection::vec(any::<u8>(), 0..3000),
            pairs in proptest::collection::vec((
                proptest::collection::vec(any::<u8>(), 0..40),
                proptest::collection::vec(any::<u8>(), 0..5000),
            ), 0..30),
            base in proptest::collection::vec(any::<u8>(), 0..4000),
            string in 300_usize..3000,
            total in 20_000_usize..60_000,
        ) {
            let limits = Limits { string, total };
            let strings = built(&message, &pairs, &base, limits);
            let cost = |string: &CString| string.as_bytes_with_nul().len();
            prop_assert!(strings.iter().all(|s| cost(s) <= string));
            let sum: usize = strings
                .iter()
                .map(|string| cost(string) + POINTER_BYTES)
                .sum();
            prop_assert!(sum + 100 <= total, "{sum} of {total}");
            let names = map(&strings);
            prop_assert_eq!(names.len(), strings.len(), "a name twice");
            prop_assert_eq!(get(&names, "EVENT"), b"foo");
        }
    }
}
