//! The bodies of requests: spans or log records, with their resource.
//!
//! Must not know how they are sent, or what the answer is.

use std::sync::Arc;

use flate2::Compress;
use flate2::Compression;
use flate2::Crc;
use flate2::FlushCompress;
use flate2::Status;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use prost::Message;

use crate::otlp::mapping;
use crate::otlp::mapping::SCHEMA_URL;
use crate::otlp::mapping::Signal;
use crate::otlp::protobuf::put_head;
use crate::otlp::stored::Cicd;
use crate::otlp::stored::Host;
use crate::otlp::stored::Stored;
use crate::otlp::stored::Text;
use crate::record::Record;

/// `ExportTraceServiceRequest.resource_spans` and
/// `ExportLogsServiceRequest.resource_logs`.
const RESOURCES: u32 = 1;
/// `ResourceSpans.scope_spans`, `ResourceLogs.scope_logs`.
const SCOPES: u32 = 2;
/// Bytes of a tag and a length at most.
const MAX_HEAD_BYTES: usize = 11;

/// The default of `service.name`.
const SERVICE: &str = "hg";
/// Whose work the telemetry is: no SDK of OpenTelemetry's, so by its own name.
const SDK: &str = "uilog";

/// The two kinds of requests, each with its own URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalType {
    /// Of spans.
    Traces,
    /// Of log records.
    Logs,
}

/// Whom records are from, in the terms of a resource: those of one are sent
/// together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceAttributes(Vec<(&'static str, String)>);

/// The facts of a record that belong to its resource.
fn origin<'s>(
    record: &'s Stored<'_>,
) -> impl Iterator<Item = (&'static str, &'s str)> {
    let Host { name, id, arch, os } = &record.host;
    let cicd = record.cicd.as_ref();
    let of_run = |get: fn(&'s Cicd<'s>) -> &'s Option<Text<'s>>| {
        cicd.and_then(|it| get(it).as_ref())
    };
    let known = [
        ("service.version", record.process.hg_version.as_ref()),
        ("host.name", Some(name)),
        ("host.id", id.as_ref()),
        ("host.arch", arch.as_ref()),
        ("os.type", os.as_ref()),
        ("cicd.pipeline.name", of_run(|it| &it.pipeline_name)),
        ("cicd.pipeline.run.id", of_run(|it| &it.run_id)),
        ("cicd.pipeline.run.url.full", of_run(|it| &it.run_url)),
        ("cicd.pipeline.task.name", of_run(|it| &it.task_name)),
        ("cicd.pipeline.task.run.id", of_run(|it| &it.task_run_id)),
        (
            "cicd.pipeline.task.run.url.full",
            of_run(|it| &it.task_run_url),
        ),
        ("cicd.worker.id", of_run(|it| &it.worker_id)),
        ("cicd.worker.name", of_run(|it| &it.worker_name)),
    ];
    known.into_iter().filter_map(|(key, value)| {
        let value: &'s str = value.filter(|it| !it.is_empty())?;
        Some((key, value))
    })
}

impl ResourceAttributes {
    /// A record's; that of the record before, if it is the same.
    fn of(record: &Stored<'_>, before: Option<&Arc<Self>>) -> Arc<Self> {
        let is_same = |it: &&Arc<Self>| {
            let known = it.0.iter().map(|(key, value)| (*key, value.as_str()));
            known.eq(origin(record))
        };
        match before.filter(is_same) {
            Some(before) => Arc::clone(before),
            None => {
                let known = origin(record);
                let known = known.map(|(key, value)| (key, value.to_owned()));
                Arc::new(Self(known.collect()))
            }
        }
    }

    /// The resource; configured attributes take precedence.
    fn resource(&self, configured: &[(String, String)]) -> Resource {
        let mut attributes: Vec<(&str, &str)> = vec![
            ("service.name", SERVICE),
            ("telemetry.sdk.name", SDK),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ];
        attributes.extend(self.0.iter().map(|(key, it)| (*key, it.as_str())));
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

/// A record as it is sent: in bytes already, since it may be sent more than
/// once, and messages take several times the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    origin: Arc<ResourceAttributes>,
    kind: SignalType,
    parts: u64,
    /// Fields of the scope's message, one for each span or log record.
    fields: Vec<u8>,
}

impl Mapped {
    /// Maps a record.
    ///
    /// # Errors
    ///
    /// What of it is invalid.
    pub fn new(record: &Record) -> Result<Self, String> {
        let payload = serde_json::to_vec(record)
            .map_err(|error| format!("the record as JSON: {error}"))?;
        Self::read(&payload, None)
    }

    /// Maps a record as a spool has it: JSON. `before` is the one before it,
    /// from the same machine more often than not.
    ///
    /// # Errors
    ///
    /// It is no record, or what of it is invalid.
    pub fn read(payload: &[u8], before: Option<&Self>) -> Result<Self, String> {
        let record = Stored::read(payload)?;
        // It is about as long.
        let mut fields = Vec::with_capacity(payload.len());
        let signal = mapping::map(&record, &mut fields)
            .map_err(|error| error.to_string())?;
        let (kind, parts) = match signal {
            Signal::Spans(count) => (SignalType::Traces, count),
            Signal::Log => (SignalType::Logs, 1),
        };
        Ok(Self {
            origin: ResourceAttributes::of(
                &record,
                before.map(|it| &it.origin),
            ),
            kind,
            parts,
            fields,
        })
    }

    /// In which kind of request it goes.
    pub fn kind(&self) -> SignalType {
        self.kind
    }

    /// How many spans or log records it is.
    pub fn parts(&self) -> u64 {
        self.parts
    }
}

/// A request's body. The records are of one kind: which one, does not matter
/// here, since both kinds of requests have their fields at the same numbers.
pub fn encode<'a>(
    records: impl Iterator<Item = &'a Mapped>,
    configured: &[(String, String)],
) -> Vec<u8> {
    // There are few: a machine has one name and few Mercurials.
    let mut groups: Vec<(&Arc<ResourceAttributes>, Vec<&[u8]>)> = Vec::new();
    for record in records {
        let origin = &record.origin;
        let known = groups.iter_mut().find(|it| it.0 == origin);
        match known {
            Some((_, fields)) => fields.push(&record.fields),
            None => groups.push((origin, vec![&record.fields])),
        }
    }
    let mut body = Vec::new();
    for (origin, fields) in groups {
        // Fields without the records; their order does not matter.
        let scope = ScopeSpans {
            scope: Some(scope()),
            spans: Vec::new(),
            schema_url: SCHEMA_URL.to_owned(),
        };
        let resource = ResourceSpans {
            resource: Some(origin.resource(configured)),
            scope_spans: Vec::new(),
            schema_url: SCHEMA_URL.to_owned(),
        };
        let (mut scope, mut resource) =
            (scope.encode_to_vec(), resource.encode_to_vec());
        let of_fields: usize = fields.iter().map(|it| it.len()).sum();
        put_head(SCOPES, scope.len() + of_fields, &mut resource);
        let length = resource.len() + scope.len() + of_fields;
        body.reserve(length + MAX_HEAD_BYTES);
        put_head(RESOURCES, length, &mut body);
        body.append(&mut resource);
        body.append(&mut scope);
        fields.iter().for_each(|it| body.extend_from_slice(it));
    }
    body
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: SDK.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// Compresses bodies, one after the other: creating a new compressor takes half
/// as long as compressing.
#[derive(Debug, Default)]
pub struct Packer(Option<Compress>);

impl Packer {
    /// Bytes that are made room for at a time.
    const ROOM_BYTES: usize = 32 * 1024;
    /// gzip, deflated, no name and no time; fast, any system.
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

    /// A body as gzip has it.
    pub fn gzip(&mut self, body: &[u8]) -> Vec<u8> {
        let level = Compression::fast();
        let deflate = self.0.get_or_insert_with(|| Compress::new(level, false));
        deflate.reset();
        let mut packed = Vec::with_capacity(Self::ROOM_BYTES);
        packed.extend_from_slice(&Self::HEADER);
        loop {
            packed.reserve(Self::ROOM_BYTES);
            let rest = &body[deflate.total_in() as usize..];
            let finish = FlushCompress::Finish;
            let status = deflate.compress_vec(rest, &mut packed, finish);
            debug_assert!(status.is_ok(), "it has its input and room");
            if !matches!(status, Ok(Status::Ok)) {
                break;
            }
        }
        let mut sum = Crc::new();
        sum.update(body);
        packed.extend_from_slice(&sum.sum().to_le_bytes());
        packed.extend_from_slice(&sum.amount().to_le_bytes());
        packed
    }

    /// Releases the compressor.
    pub fn rest(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn what_is_packed_is_there_again_each_time() {
        let mut packer = Packer::default();
        let text: Vec<u8> = (0..100_000_u32)
            .flat_map(|it| (it.wrapping_mul(it) % 251).to_le_bytes())
            .collect();
        let noise: Vec<u8> = (0..200_000_u64)
            .map(|it| (it.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect();
        for body in [&text[..], b"", &noise, b"x", &text[..70_000]] {
            let packed = packer.gzip(body);
            let mut unpacked = Vec::new();
            GzDecoder::new(&packed[..])
                .read_to_end(&mut unpacked)
                .unwrap();
            assert!(unpacked == body, "{} bytes", body.len());
            assert!(packed.len() < body.len() + 1024);
            if body.is_empty() {
                packer.rest();
            }
        }
    }
}
