//! Converts Python values to Rust.
//!
//! Nothing here fails: a value whose methods raise is replaced by a text that
//! says so, and counted.

use std::borrow::Cow;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBool;
use pyo3::types::PyByteArray;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyFloat;
use pyo3::types::PyInt;
use pyo3::types::PyString;
use pyo3::types::PyTuple;
use uilog_event::event::EventOption;
use uilog_event::event::Text;
use uilog_event::event::Value;
use uilog_logger::account::FaultKind;

use crate::host;

/// The keyword arguments of a `ui.log` call.
pub(crate) fn options(opts: &Bound<'_, PyDict>) -> Vec<EventOption<'static>> {
    let pairs = opts.iter();
    pairs
        .map(|(key, value)| EventOption {
            key: Cow::Owned(option_key(&key)),
            value: option_value(&value),
        })
        .collect()
}

/// What `ui.configitems` returns: bytes, unless an extension has set
/// something else.
pub(crate) type Items<'py> = Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>;

/// The items of a section; items whose value is `None` are skipped.
pub(crate) fn items(
    items: &[(Bound<'_, PyAny>, Bound<'_, PyAny>)],
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let set = items.iter().filter(|(_, value)| !value.is_none());
    set.map(|(name, value)| (text(name), text(value))).collect()
}

/// A key, which is a `str` from `**opts` or bytes from another logger's hand.
// hg: pycompat.byteskwargs encodes keys as Latin-1
fn option_key(key: &Bound<'_, PyAny>) -> Vec<u8> {
    let Ok(key) = key.cast::<PyString>() else {
        return text(key);
    };
    let key = string(key);
    let Ok(text) = std::str::from_utf8(&key) else {
        return key;
    };
    let latin1 = text.chars().map(|c| u8::try_from(u32::from(c)).ok());
    latin1.collect::<Option<Vec<u8>>>().unwrap_or(key)
}

fn option_value(value: &Bound<'_, PyAny>) -> Value<'static> {
    let owned = |bytes: Vec<u8>| Text(Cow::Owned(bytes));
    if value.is_none() {
        Value::Null
    } else if let Ok(value) = value.cast_exact::<PyBool>() {
        Value::Bool(value.is_true())
    } else if value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>()
    {
        Value::Bytes(owned(text(value)))
    } else if value.is_instance_of::<PyInt>() {
        Value::Int(owned(text(value)))
    } else if value.is_instance_of::<PyFloat>() {
        Value::Float(owned(text(value)))
    } else {
        Value::Str(owned(text(value)))
    }
}

/// Any object as bytes: bytes unchanged, `str` as UTF-8, objects with
/// `__bytes__` by calling that, anything else as `str` prints it.
// hg: pycompat.bytestr
pub(crate) fn text(value: &Bound<'_, PyAny>) -> Vec<u8> {
    try_text(value).unwrap_or_else(|error| {
        let of = type_name(value);
        let error = describe(error.value(value.py()).as_any());
        let detail = format!("a {of} could not be printed: {error}");
        host::fault(FaultKind::Unprintable, detail);
        format!("<unprintable {of}>").into_bytes()
    })
}

fn try_text(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    if let Ok(bytes) = value.cast::<PyByteArray>() {
        return Ok(bytes.to_vec());
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(string(text));
    }
    // To look for an attribute that is not there makes an exception.
    let is_number = value.is_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyFloat>();
    let bytes_method = intern!(value.py(), "__bytes__");
    if !is_number && value.hasattr(bytes_method)? {
        let bytes = value.call_method0(bytes_method)?;
        return Ok(bytes.cast::<PyBytes>()?.as_bytes().to_vec());
    }
    Ok(string(&value.str()?))
}

/// A `str` as UTF-8; what came from undecodable bytes becomes these again.
fn string(text: &Bound<'_, PyString>) -> Vec<u8> {
    let encode = |errors: &str| {
        let name = intern!(text.py(), "encode");
        let bytes = text.call_method1(name, ("utf-8", errors)).ok()?;
        Some(bytes.cast::<PyBytes>().ok()?.as_bytes().to_vec())
    };
    if let Ok(text) = text.to_cow() {
        return text.as_bytes().to_vec();
    }
    encode("surrogateescape")
        .or_else(|| encode("backslashreplace"))
        .unwrap_or_default()
}

/// A message whose arguments do not fit its format: the format unchanged, and
/// each argument's `repr`.
pub(crate) fn repair(
    msgfmt: &Bound<'_, PyAny>,
    msgargs: &Bound<'_, PyTuple>,
) -> Vec<u8> {
    let mut message = text(msgfmt);
    if msgargs.is_empty() {
        // Finished text that happens to hold a '%'.
        return message;
    }
    while message.last() == Some(&b'\n') {
        message.pop();
    }
    for argument in msgargs.iter() {
        message.push(b' ');
        match argument.repr() {
            Ok(repr) => message.extend_from_slice(&string(&repr)),
            Err(_) => message.extend_from_slice(
                format!("<unprintable {}>", type_name(&argument)).as_bytes(),
            ),
        }
    }
    message.push(b'\n');
    message
}

/// An exception in one line: its type and its text.
pub(crate) fn describe(error: &Bound<'_, PyAny>) -> String {
    let text = try_text(error).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let text = text.lines().next().unwrap_or_default();
    format!("{}: {text}", type_name(error))
}

/// Any object as text, in any encoding.
pub(crate) fn lossy(value: &Bound<'_, PyAny>) -> String {
    String::from_utf8_lossy(&text(value)).into_owned()
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    let name = value.get_type().name();
    name.map_or_else(|_| "object".to_owned(), |name| name.to_string())
}
