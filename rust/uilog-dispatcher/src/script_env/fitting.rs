//! What of a script's variables fits into the system's limits: what is too long
//! is cut, and that is told in a variable.

use std::borrow::Cow;
use std::ffi::CString;

use uilog_sys::spawn::MAX_STRING_BYTES;

use super::variable::Kind;
use super::variable::MAX_SHOWN_NAME_BYTES;
use super::variable::TRUNCATED;
use super::variable::Variable;
use super::variable::shown_name;

/// Names what has been cut.
pub(super) const CUT_VARIABLE: &[u8] = b"UILOG_TRUNCATED";

/// The bytes that Linux never refuses in total (`ARG_MAX` of limits.h).
const MIN_TOTAL_BYTES: usize = 128 * 1024;
/// The bytes that Linux never exceeds in total (three quarters of
/// `_STK_LIM`).
const MAX_TOTAL_BYTES: usize = 6 * 1024 * 1024;
/// Room for the program's path, the auxiliary vector and alignment.
const SLACK_BYTES: usize = 4096;
/// A value of the event is not truncated below this to make room for the user's
/// environment.
const SHORT_BYTES: usize = 1024;

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

/// The variables, within `limits`, beside arguments of so many bytes.
pub(super) fn fitted(
    mut variables: Vec<Variable<'_>>,
    argument_bytes: usize,
    limits: Limits,
) -> Vec<CString> {
    let mut cut = drop_long_names(&mut variables, limits);
    for variable in &mut variables {
        let room = limits.string - variable.name.len() - 2;
        variable.cut_to(room);
    }
    // Room for the list of truncated values, which is not known yet.
    let list_bytes: usize =
        MAX_SHOWN_NAME_BYTES * (2 + variables.len().min(64));
    let available = limits
        .total
        .saturating_sub(argument_bytes + SLACK_BYTES + list_bytes);
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
        let name = CUT_VARIABLE;
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

/// Leaves out those whose names alone are too long; returns these.
fn drop_long_names(
    variables: &mut Vec<Variable<'_>>,
    limits: Limits,
) -> Vec<Vec<u8>> {
    let mut cut: Vec<Vec<u8>> = Vec::new();
    variables.retain(|variable| {
        let fits = variable.name.len() + 2 + TRUNCATED.len() <= limits.string;
        if !fits {
            cut.push(shown_name(&variable.name));
        }
        fits
    });
    cut
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
