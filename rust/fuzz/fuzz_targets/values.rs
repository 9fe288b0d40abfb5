//! Values of settings, variables and arguments may be any bytes: nothing
//! panics, a `traceparent` that is valid is passed on as it was read, and a
//! span of time does not end before it begins.
#![no_main]

use libfuzzer_sys::fuzz_target;
use uilog_config::date;
use uilog_config::date::Clock;
use uilog_config::date::Rounding;
use uilog_config::items::ITEMS;
use uilog_config::value;
use uilog_config::when;
use uilog_event::event::SessionId;
use uilog_event::trace;
use uilog_event::trace::Context;

fuzz_target!(|data: &[u8]| {
    let clock = Clock {
        now: 1_793_620_800,
        local_offset: &|at| if at % 2 == 0 { 3600 } else { 7200 },
    };
    if let Some(context) = Context::parse(data) {
        let text = context.to_string();
        assert_eq!(Context::parse(text.as_bytes()), Some(context));
    }
    let (rest, _) = trace::split(data);
    assert!(rest.len() <= data.len() + 1);
    let _ = SessionId::parse(data);
    for item in ITEMS {
        let _ = item.parse(data);
    }
    let _ = (value::parse_bool(data), value::parse_int(data));
    let _ = (value::parse_age(data), value::parse_float(data));
    let list = value::parse_list(data);
    assert!(list.iter().map(Vec::len).sum::<usize>() <= data.len());
    let _ = date::parse_date(data, &clock);
    let first = date::parse_bound(data, &clock, Rounding::First);
    let last = date::parse_bound(data, &clock, Rounding::Last);
    if let (Some(first), Some(last)) = (first, last)
        && first.offset == last.offset
    {
        assert!(first.seconds <= last.seconds);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = (when::span(text, &clock), when::is_moment(text));
        let _ = when::between(Some(text), Some(text), &clock);
    }
});
