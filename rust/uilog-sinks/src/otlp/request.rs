//! The bodies of requests: spans or log records, with whom they are from.
//!
//! Knows neither how they are sent nor what becomes of them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::logs::v1::ScopeLogs;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::otlp::mapping::SCHEMA_URL;
use crate::otlp::mapping::Signal;
use crate::record::Record;

/// What `service.name` is unless somebody says otherwise.
const SERVICE: &str = "hg";

/// The two kinds of requests, each with an address of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of spans.
    Traces,
    /// Of log records.
    Logs,
}

/// Whom records are from: those of one are sent together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    host: String,
    hg_version: Option<String>,
}

impl Origin {
    /// A record's.
    pub fn of(record: &Record) -> Self {
        Self {
            host: record.host.name.clone(),
            hg_version: record.process.hg_version.clone(),
        }
    }

    /// As a resource, with what is configured: that goes before.
    fn resource(&self, configured: &[(String, String)]) -> Resource {
        let mut attributes: Vec<(&str, &str)> = vec![("service.name", SERVICE)];
        if let Some(version) = &self.hg_version {
            attributes.push(("service.version", version));
        }
        if !self.host.is_empty() {
            attributes.push(("host.name", &self.host));
        }
        for (key, value) in configured {
            attributes.retain(|it| it.0 != key);
            attributes.push((key, value));
        }
        Resource {
            attributes: attributes
                .into_iter()
                .map(|(key, value)| KeyValue {
                    key: key.to_owned(),
                    value: Some(AnyValue {
                        value: Some(Value::StringValue(value.to_owned())),
                    }),
                    ..KeyValue::default()
                })
                .collect(),
            ..Resource::default()
        }
    }
}

/// A record that has been mapped.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped {
    /// Whom it is from.
    pub origin: Origin,
    /// What it has become.
    pub signal: Signal,
}

impl Mapped {
    /// In which kind of request it goes.
    pub fn kind(&self) -> Kind {
        match self.signal {
            Signal::Spans(_) => Kind::Traces,
            Signal::Log(_) => Kind::Logs,
        }
    }

    /// How many spans or log records it is.
    pub fn parts(&self) -> u64 {
        match &self.signal {
            Signal::Spans(spans) => spans.len() as u64,
            Signal::Log(_) => 1,
        }
    }
}

/// A request's body: those of the records that are of its kind.
pub fn encode<'a>(
    kind: Kind,
    records: impl Iterator<Item = &'a Mapped>,
    configured: &[(String, String)],
) -> Vec<u8> {
    match kind {
        Kind::Traces => traces(records, configured).encode_to_vec(),
        Kind::Logs => logs(records, configured).encode_to_vec(),
    }
}

fn traces<'a>(
    records: impl Iterator<Item = &'a Mapped>,
    configured: &[(String, String)],
) -> ExportTraceServiceRequest {
    let mut groups: Vec<(&Origin, Vec<Span>)> = Vec::new();
    for record in records {
        if let Signal::Spans(spans) = &record.signal {
            group(&mut groups, &record.origin).extend_from_slice(spans);
        }
    }
    let resource_spans = groups.into_iter().map(|(origin, spans)| {
        let scope_spans = vec![ScopeSpans {
            scope: Some(scope()),
            spans,
            schema_url: SCHEMA_URL.to_owned(),
        }];
        ResourceSpans {
            resource: Some(origin.resource(configured)),
            scope_spans,
            schema_url: SCHEMA_URL.to_owned(),
        }
    });
    ExportTraceServiceRequest {
        resource_spans: resource_spans.collect(),
    }
}

fn logs<'a>(
    records: impl Iterator<Item = &'a Mapped>,
    configured: &[(String, String)],
) -> ExportLogsServiceRequest {
    let mut groups: Vec<(&Origin, Vec<LogRecord>)> = Vec::new();
    for record in records {
        if let Signal::Log(log) = &record.signal {
            group(&mut groups, &record.origin).push((**log).clone());
        }
    }
    let resource_logs = groups.into_iter().map(|(origin, log_records)| {
        let scope_logs = vec![ScopeLogs {
            scope: Some(scope()),
            log_records,
            schema_url: SCHEMA_URL.to_owned(),
        }];
        ResourceLogs {
            resource: Some(origin.resource(configured)),
            scope_logs,
            schema_url: SCHEMA_URL.to_owned(),
        }
    });
    ExportLogsServiceRequest {
        resource_logs: resource_logs.collect(),
    }
}

/// There are few of them: a machine has one name and few Mercurials.
fn group<'a, 'g, T>(
    groups: &'g mut Vec<(&'a Origin, Vec<T>)>,
    origin: &'a Origin,
) -> &'g mut Vec<T> {
    let at = match groups.iter().position(|it| it.0 == origin) {
        Some(at) => at,
        None => {
            groups.push((origin, Vec::new()));
            groups.len() - 1
        }
    };
    &mut groups[at].1
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "uilog".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// Packs a body.
pub fn gzip(body: &[u8]) -> Vec<u8> {
    let packed = Vec::with_capacity(body.len() / 4);
    let mut encoder = GzEncoder::new(packed, Compression::fast());
    let result = encoder.write_all(body);
    debug_assert!(result.is_ok(), "a Vec takes everything");
    encoder.finish().unwrap_or_default()
}
