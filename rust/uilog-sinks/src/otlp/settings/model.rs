//! The typed settings for sending to a collector.
//!
//! Must not know where they are configured.

// OpenTelemetry: "OpenTelemetry Protocol Exporter", configuration options, and
// "Environment Variable Specification"

use std::path::PathBuf;
use std::time::Duration;

use uilog_config::items;
use uilog_config::items::Value;
use ureq::http::HeaderName;
use ureq::http::HeaderValue;

use crate::otlp::proxy::Proxies;

/// The maximum timeout; also used for 0, which means none.
pub(super) const MAX_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// The option of statuses for which we wait.
pub(super) const WAIT_STATUSES: &str = "wait-statuses";

/// Everything about a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where spans go.
    pub traces: Endpoint,
    /// Where log records go.
    pub logs: Endpoint,
    /// The file with a bearer token.
    pub token_file: Option<PathBuf>,
    /// Further attributes of the resource.
    pub resource: Vec<(String, String)>,
    /// The proxies, and the hosts without one.
    pub proxies: Proxies,
    /// The statuses of errors for which we wait although the protocol forbids
    /// to ask again.
    pub wait_statuses: Statuses,
    /// Ignored settings, and probable mistakes.
    pub warnings: Vec<String>,
    /// Variables that are set and have no effect, although they have one in
    /// OpenTelemetry's own programs.
    pub notes: Vec<String>,
}

/// Some of HTTP's statuses of errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<u16>);

impl Statuses {
    /// None of them.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// The listed statuses.
    ///
    /// # Errors
    ///
    /// One is not from 400 to 599.
    pub fn parse(words: &[Vec<u8>]) -> Result<Self, String> {
        let all = words.iter().map(|word| {
            let text = String::from_utf8_lossy(word);
            let number = text.parse().ok();
            number.filter(|it| (400..=599).contains(it)).ok_or_else(|| {
                format!(
                    "'{text}' is not a status from 400 to \
                    599"
                )
            })
        });
        all.collect::<Result<_, _>>().map(Self)
    }

    /// Whether this is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.contains(&status)
    }
}

impl Default for Statuses {
    /// Statuses that are caused by a configuration on either side or by a
    /// proxy, which can be corrected.
    fn default() -> Self {
        let item = items::find_sink_option(WAIT_STATUSES.as_bytes());
        let value =
            item.and_then(|it| it.item.parse(it.item.default.as_bytes()));
        match value {
            Some(Value::List(words)) => {
                Self::parse(&words).unwrap_or_else(|_| Self::none())
            }
            _ => Self::none(),
        }
    }
}

/// Where requests of one kind go, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The whole URL.
    pub url: String,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// For how long it may not answer.
    pub timeout: Duration,
    /// Whether requests are packed.
    pub is_gzip: bool,
    /// Files of TLS.
    pub tls: TlsFiles,
}

/// Files of TLS, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who may vouch for the receiver, in place of the system's.
    pub ca: Option<PathBuf>,
    /// Who we are.
    pub cert: Option<PathBuf>,
    /// The key of that.
    pub key: Option<PathBuf>,
}
