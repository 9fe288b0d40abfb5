//! Records in the format of OpenTelemetry's file exporter.

use super::owned::Owned;
use crate::globals::Globals;
use crate::otlp::json;
use crate::otlp::request::Mapped;
use crate::otlp::request::SignalType;
use crate::otlp::settings;

/// Translates records into what OpenTelemetry's file exporter writes: one JSON
/// object a line.
// OpenTelemetry: "OpenTelemetry Protocol File Exporter"
#[derive(Debug, Default)]
pub struct Translator {
    resource: Vec<(String, String)>,
}

impl Translator {
    /// For the records of this sink, with its configured resource, if that is
    /// valid: the settings for sending do not matter.
    pub fn new(owned: &Owned, globals: &Globals) -> Self {
        let definition = owned.definition.as_ref();
        let resource = definition.map(|it| settings::resource(it, globals));
        Self {
            resource: resource.unwrap_or_default(),
        }
    }

    /// The line of a record, and to which file it belongs.
    ///
    /// # Errors
    ///
    /// It is no record.
    pub fn line(
        &self,
        payload: &[u8],
    ) -> Result<(SignalType, Vec<u8>), String> {
        let mapped = Mapped::read(payload, None)?;
        let mut line = json::line(&mapped, &self.resource)?;
        line.push(b'\n');
        Ok((mapped.kind(), line))
    }
}
