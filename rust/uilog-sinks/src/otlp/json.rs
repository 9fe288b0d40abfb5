//! Records in OTLP's JSON, for files.
//!
//! Converted from the messages that would be sent, so both have the same
//! content. Must not know files.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde::Serialize;

use crate::otlp::request;
use crate::otlp::request::Mapped;
use crate::otlp::request::SignalType;

/// A record as a complete request, with the configured resource: one line,
/// without its end.
///
/// # Errors
///
/// It cannot be represented in JSON.
pub fn line(
    record: &Mapped,
    configured: &[(String, String)],
) -> Result<Vec<u8>, String> {
    let body = request::encode(std::iter::once(record), configured);
    match record.kind() {
        SignalType::Traces => told::<ExportTraceServiceRequest>(&body),
        SignalType::Logs => told::<ExportLogsServiceRequest>(&body),
    }
}

fn told<T: Message + Default + Serialize>(
    body: &[u8],
) -> Result<Vec<u8>, String> {
    let request = T::decode(body).map_err(|error| error.to_string())?;
    serde_json::to_vec(&request).map_err(|error| error.to_string())
}
