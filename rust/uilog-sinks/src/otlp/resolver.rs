//! Resolves a collector's name.
//!
//! Responsible for not resolving a name more often than needed. ureq asks
//! before each request, even if the connection is kept, and resolves in a
//! separate thread, so that it can time out. Must not know what is sent. After
//! a failure to connect, the caller creates a new resolver.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::resolver::ResolvedSocketAddrs;
use ureq::unversioned::resolver::Resolver;
use ureq::unversioned::transport::NextTimeout;

/// For how long addresses are used again.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Looks names up, and remembers the last one.
#[derive(Debug, Default)]
pub(crate) struct CachingResolver {
    system: DefaultResolver,
    last: Mutex<Option<Found>>,
}

#[derive(Clone, Debug)]
struct Found {
    host_and_port: String,
    addresses: ResolvedSocketAddrs,
    at: Instant,
}

impl Resolver for CachingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host_and_port = uri
            .scheme()
            .zip(uri.authority())
            .and_then(|it| DefaultResolver::host_and_port(it.0, it.1));
        let Some(host_and_port) = host_and_port else {
            return self.system.resolve(uri, config, timeout);
        };
        // An address needs no thread.
        if let Ok(address) = host_and_port.parse::<SocketAddr>() {
            let mut addresses = self.empty();
            addresses.push(address);
            return Ok(addresses);
        }
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last().clone().filter(|it| {
            it.host_and_port == host_and_port && it.at.elapsed() < REMEMBERED
        });
        if let Some(known) = known {
            return Ok(known.addresses);
        }
        let addresses = self.system.resolve(uri, config, timeout)?;
        *last() = Some(Found {
            host_and_port,
            addresses: addresses.clone(),
            at: Instant::now(),
        });
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(resolver: &CachingResolver, url: &str) -> Vec<SocketAddr> {
        let uri: Uri = url.parse().unwrap();
        let (config, timeout) = (Config::default(), NextTimeout::default());
        let found = resolver.resolve(&uri, &config, timeout).unwrap();
        found.to_vec()
    }

    #[test]
    fn a_name_is_looked_up_once_and_an_address_never() {
        let resolver = CachingResolver::default();
        let is_known = || resolver.last.lock().unwrap().clone();
        for (url, address) in [
            ("http://127.0.0.1:4318/v1/logs", "127.0.0.1:4318"),
            ("https://[::1]/v1/logs", "[::1]:443"),
        ] {
            assert_eq!(resolve(&resolver, url), [address.parse().unwrap()]);
        }
        assert!(is_known().is_none());
        resolve(&resolver, "http://localhost:4318/v1/logs");
        let mut known = is_known().unwrap();
        assert_eq!(known.host_and_port, "localhost:4318");
        // Nobody else would know this one.
        known.host_and_port = "collector.invalid:4318".to_owned();
        let addresses = known.addresses.to_vec();
        *resolver.last.lock().unwrap() = Some(known);
        let url = "http://collector.invalid:4318/v1/traces";
        assert_eq!(resolve(&resolver, url), addresses);
    }
}
