//! Whether a collector can be reached, and how it answers an empty export.
//!
//! Sends no record and touches no spool. The requests are the sender's, with
//! the same settings except for the timeout; [`crate::trail`] has the steps
//! below HTTP.

use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use uilog_channel::sink_config::SinkConfig;
use uilog_channel::sink_url;
use ureq::http::Uri;

use crate::attempt_log::AttemptLog;
use crate::attempt_log::StepFailed;
use crate::attempt_log::try_tcp;
use crate::attempt_log::try_tls;
use crate::globals::Globals;
use crate::otlp::connector::WITHOUT_TLS;
use crate::otlp::http::Collector;
use crate::otlp::http::Received;
use crate::otlp::request::SignalType;
use crate::otlp::settings::Settings;
use crate::otlp::verdict::Verdict;
use crate::target::Address;

/// However little time is left: so long an answer is waited for.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Where requests of a kind go, and by which way.
struct RequestRoute {
    kind: SignalType,
    host: Address,
    is_https: bool,
    proxy: Option<Address>,
}

/// Tries to connect to a collector, with an empty request.
pub(crate) fn try_collector(
    definition: &SinkConfig,
    globals: &Globals,
    trail: &AttemptLog,
) -> Result<(), StepFailed> {
    let settings = trail.step("settings", || {
        let settings = Settings::new(definition, globals)?;
        let shown = |kind| {
            let url = &settings.endpoint(kind).url;
            sink_url::shown_url(url.as_bytes())
        };
        let seen = format!(
            "spans go to {}, log records to {}",
            shown(SignalType::Traces),
            shown(SignalType::Logs)
        );
        Ok((settings, seen))
    })?;
    let mut collector = Collector::new(settings.clone());
    let ways = trail.step("files", || {
        collector.check()?;
        let mut ways = Vec::new();
        for kind in SignalType::ALL {
            ways.push(way(kind, &settings, &mut collector)?);
        }
        Ok((ways, "all configured files can be read".to_owned()))
    })?;
    let mut result = Ok(());
    for (index, way) in ways.iter().enumerate() {
        let is_new = !ways[..index].iter().any(|it| it.is_same(way));
        if is_new {
            result = connect(way, &mut collector, trail);
        }
        // Without a connection nothing can be exported.
        if result.is_ok() {
            let others = u32::try_from(ways.len() - index).unwrap_or(1);
            let left = trail.deadline.saturating_duration_since(Instant::now());
            let bound = (left / others).max(MIN_TIMEOUT);
            export(way.kind, &settings, bound, trail);
        }
    }
    result
}

fn way(
    kind: SignalType,
    settings: &Settings,
    collector: &mut Collector,
) -> Result<RequestRoute, String> {
    let url = &settings.endpoint(kind).url;
    let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
    let is_https = uri.scheme_str() == Some("https");
    let host = uri.host().unwrap_or("");
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let default_port = if is_https { 443 } else { 80 };
    Ok(RequestRoute {
        kind,
        host: Address {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(default_port),
        },
        is_https,
        proxy: collector.proxy_of(kind)?,
    })
}

impl RequestRoute {
    fn is_same(&self, other: &Self) -> bool {
        self.host == other.host
            && self.is_https == other.is_https
            && self.proxy == other.proxy
    }
}

fn connect(
    way: &RequestRoute,
    collector: &mut Collector,
    trail: &AttemptLog,
) -> Result<(), StepFailed> {
    if let Some(proxy) = &way.proxy {
        trail.step("proxy", || {
            Ok(((), format!("{} is reached through {proxy}", way.host)))
        })?;
        // The export shows whether the collector can be reached through it.
        return try_tcp(trail, proxy).map(drop);
    }
    let connection = try_tcp(trail, &way.host)?;
    if !way.is_https {
        return Ok(());
    }
    let config = collector.tls_of(way.kind);
    let Ok(Some(config)) = config else {
        return trail.step("tls", || {
            Err(config.err().unwrap_or_else(|| "no TLS".to_owned()))
        });
    };
    try_tls(trail, connection, &way.host, &config, WITHOUT_TLS)
}

/// That it has failed is in the trail.
fn export(
    kind: SignalType,
    settings: &Settings,
    bound: Duration,
    trail: &AttemptLog,
) {
    let mut settings = settings.clone();
    for endpoint in [&mut settings.traces, &mut settings.logs] {
        endpoint.timeout = endpoint.timeout.min(bound);
    }
    let name = match kind {
        SignalType::Traces => "export-traces",
        SignalType::Logs => "export-logs",
    };
    let _ = trail.step(name, || {
        let waiting = settings.wait_statuses.clone();
        let received = Collector::new(settings).export_nothing(kind)?;
        let now = SystemTime::now();
        match received.answer().verdict(kind, &waiting, now) {
            Verdict::Accepted => Ok(((), received.first_line())),
            _ => Err(refusal(&received)),
        }
    });
}

/// Describes an answer that is no acceptance, and its possible cause.
fn refusal(received: &Received) -> String {
    let line = received.first_line();
    let said = match received.body_line() {
        Some(said) => format!("{line}: {said}"),
        None => line,
    };
    let advice = match received.answer().status {
        200..=299 => "this is not a collector: check the URL",
        300..=399 => "name the URL that it redirects to",
        401 | 403 => "check token-file and headers",
        404 | 405 | 410 => {
            "check the path in the URL, and whether the collector accepts \
             this kind"
        }
        400 | 415 | 422 => "is this an OTLP endpoint?",
        429 | 500..=599 => "the collector accepts nothing now",
        _ => "check the collector",
    };
    format!("{said} ({advice})")
}
