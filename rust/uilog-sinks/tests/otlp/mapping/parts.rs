//! The parts of a command, each a span below the command's.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::json;

use super::TIME;
use super::common;
use super::map;
use super::plain;
use super::span;
use super::spans;
use crate::support::*;

#[test]
fn a_hook_is_a_child_of_its_command() {
    let hook = record(
        0,
        7,
        json!({
            "event": "exthook",
            "duration": 0.5,
            "message": "exthook-precommit: true finished in 0.50 seconds",
            "hook": {"name": "precommit", "command": "true"},
        }),
    );
    let first = span(&hook);
    assert_eq!(first.name, "hook precommit");
    assert_eq!(first.trace_id, 0x100_u128.to_be_bytes());
    assert_eq!(first.parent_span_id, 0x200_u64.to_be_bytes());
    assert_eq!(first.span_id.len(), 8);
    assert_ne!(first.span_id, first.parent_span_id);
    assert_eq!(first.flags, 0x101);
    assert_eq!(first.start_time_unix_nano, TIME - 500_000_000);
    // Sent again it is the same span; another one's is another.
    assert_eq!(span(&hook), first);
    // Where the hook has a span, its children name that.
    let mut spanned = hook.clone();
    spanned.hook.as_mut().expect("a hook").has_span = true;
    spanned.parent_span_id = Some(format!("{:016x}", 0x300));
    let spanned = span(&spanned);
    assert_eq!(spanned.span_id, 0x200_u64.to_be_bytes());
    assert_eq!(spanned.parent_span_id, 0x300_u64.to_be_bytes());
    let mut other = hook.clone();
    other.id = "00000000000000000000000000000001-8".to_owned();
    assert_ne!(span(&other).span_id, first.span_id);
    let expected = [
        ("hg.hook.command", "true"),
        ("hg.hook.name", "precommit"),
        (
            "hg.message",
            "exthook-precommit: true finished in 0.50 seconds",
        ),
    ];
    assert_eq!(plain(&first.attributes), map(&common("exthook"), &expected));
}

#[test]
fn a_connection_is_a_span_of_a_client() {
    let peer = span(&record(
        0,
        7,
        json!({
            "event": "peerclose",
            "duration": 2.0,
            "message": "",
            "options": {
                "url": "ssh://hg@example.com:22/repo",
                "duration": 2.0,
                "outcome": "closed",
            },
        }),
    ));
    assert_eq!(peer.name, "peer");
    assert_eq!(peer.kind, SpanKind::Client as i32);
    let expected = [
        ("hg.option.outcome", "closed"),
        ("server.address", "example.com"),
        ("server.port", "22"),
        ("url.full", "ssh://hg@example.com:22/repo"),
    ];
    let expected = map(&common("peerclose"), &expected);
    assert_eq!(plain(&peer.attributes), expected);
}

#[test]
fn a_connection_that_is_killed_has_failed() {
    let peer = span(&record(
        0,
        7,
        json!({
            "event": "peerclose",
            "duration": 2.0,
            "message": "",
            "options": {"outcome": "killed", "connected": 5.5},
        }),
    ));
    let nanos = peer.end_time_unix_nano - peer.start_time_unix_nano;
    assert_eq!(nanos, 5_500_000_000);
    let status = peer.status.unwrap();
    assert_eq!(status.code, StatusCode::Error as i32);
    assert_eq!(status.message, "killed");
    assert_eq!(plain(&peer.attributes)["error.type"], "killed");
}

#[test]
fn a_request_that_is_served_is_a_span_of_a_server() {
    let served = span(&record(
        0,
        7,
        json!({
            "event": "wirefinish",
            "duration": 0.5,
            "message": "",
            "options": {
                "wire_command": "getbundle", "duration": 0.5,
                "remote_address": "192.0.2.1", "remote_user": "joe",
                "bytes_sent": 7, "outcome": "ok",
            },
        }),
    ));
    assert_eq!(served.name, "wire getbundle");
    assert_eq!(served.kind, SpanKind::Server as i32);
    assert_eq!(served.status, None);
    let expected = [
        ("client.address", "192.0.2.1"),
        ("hg.option.bytes_sent", "7"),
        ("hg.option.outcome", "ok"),
        ("hg.option.wire_command", "getbundle"),
        ("user.name", "joe"),
    ];
    let expected = map(&common("wirefinish"), &expected);
    assert_eq!(plain(&served.attributes), expected);
}

#[test]
fn a_lock_that_is_waited_for_in_vain_has_failed() {
    let waited = span(&record(
        0,
        7,
        json!({
            "event": "lockwait",
            "duration": 3.0,
            "message": "",
            "options": {"lock": "wlock", "waited": 3.0, "outcome": "timeout"},
        }),
    ));
    assert_eq!(waited.name, "lockwait");
    assert_eq!(waited.status.unwrap().message, "timeout");
}

#[test]
fn a_discovery_is_a_span_of_a_client() {
    let discovery = span(&record(
        0,
        7,
        json!({
            "event": "discovery",
            "duration": 0.25,
            "message": "",
            "counts": {
                "common_heads": 1, "unknown_heads": 2, "roundtrips": 3,
            },
        }),
    ));
    assert_eq!(discovery.kind, SpanKind::Client as i32);
    let expected = [
        ("hg.discovery.common_heads", "1"),
        ("hg.discovery.roundtrips", "3"),
        ("hg.discovery.unknown_heads", "2"),
    ];
    let expected = map(&common("discovery"), &expected);
    assert_eq!(plain(&discovery.attributes), expected);
}

#[test]
fn what_a_command_has_waited_for_is_a_span_each() {
    let all = spans(&record(
        0,
        7,
        json!({
            "event": "uiblocked",
            "message": "ui blocked ms",
            "blocked": {"stdio": 0.5, "exthook-pre-status": 0.25},
        }),
    ));
    let seen: Vec<_> = all
        .iter()
        .map(|it| {
            let length = it.end_time_unix_nano - it.start_time_unix_nano;
            (it.name.as_str(), length / 1_000_000)
        })
        .collect();
    let expected =
        [("blocked exthook-pre-status", 250), ("blocked stdio", 500)];
    assert_eq!(seen, expected);
    assert_ne!(all[0].span_id, all[1].span_id);
    assert_eq!(all[1].parent_span_id, 0x200_u64.to_be_bytes());
    let expected = [("hg.blocked.on", "stdio")];
    let expected = map(&common("uiblocked"), &expected);
    assert_eq!(plain(&all[1].attributes), expected);
}
