//! Proxies: which one the environment sets for a collector, if any.
//!
//! The variables are read as by curl, and `NO_PROXY` as by curl and Go: if one
//! of the two does not use the proxy, uilog does not. Resolves no name and
//! opens no connection.

use std::net::IpAddr;
use std::net::Ipv6Addr;

use ureq::Proxy;
use ureq::ProxyProtocol;
use ureq::http::Uri;

use crate::otlp::endpoint::host_and_port;

/// What the environment says of proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http:`.
    http: Option<Named>,
    /// For `https:`.
    https: Option<Named>,
    /// The hosts that are not reached through a proxy.
    except: String,
}

/// A proxy's URL, and the variable that it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    variable: &'static str,
    url: String,
}

impl Proxies {
    /// `variable` returns the value of a variable that is set and not empty.
    /// curl: HTTP_PROXY is not read, because the client of a CGI script sets it
    pub(crate) fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let url = variable(name)?;
                let variable = *name;
                Some(Named { variable, url })
            })
        };
        let except = first(&["no_proxy", "NO_PROXY"]);
        Self {
            http: first(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            https: first(&[
                "https_proxy",
                "HTTPS_PROXY",
                "all_proxy",
                "ALL_PROXY",
            ]),
            except: except.map(|it| it.url).unwrap_or_default(),
        }
    }

    /// The proxy for a valid URL.
    ///
    /// # Errors
    ///
    /// The variable's value is invalid, or its kind of proxy is not supported.
    /// A URL without a proxy is no error, whatever the variable contains.
    pub(crate) fn of(&self, url: &Uri) -> Result<Option<Proxy>, String> {
        let is_https = url.scheme_str() == Some("https");
        let named = if is_https { &self.https } else { &self.http };
        let Some(Named {
            variable,
            url: proxy,
        }) = named
        else {
            return Ok(None);
        };
        let host = url.host().unwrap_or("");
        let port = url.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        if is_excepted(&self.except, host, port) {
            return Ok(None);
        }
        let proxy = parse(proxy).map_err(|why| format!("{variable}: {why}"));
        proxy.map(Some)
    }
}

/// A proxy by its URL. Errors do not quote the URL, which may contain a
/// password.
fn parse(url: &str) -> Result<Proxy, String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let is_socks = scheme.to_ascii_lowercase().starts_with("socks");
    if is_socks {
        return Err("SOCKS proxies are not supported (see NO_PROXY in \
                    docs/otlp.md)"
            .to_owned());
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = authority.rsplit_once('@').map_or(authority, |it| it.1);
    // ureq would take the scheme's port if this one is invalid.
    let (host, port) =
        host_and_port(host).map_err(|why| format!("the proxy's URL: {why}"))?;
    let parsed = Proxy::new(&format!("{scheme}://{authority}"))
        .map_err(|_| "it is not the URL of a proxy".to_owned())?;
    let protocol = parsed.protocol();
    let default_port = match protocol {
        ProxyProtocol::Https => 443,
        _ => 80,
    };
    let mut proxy = Proxy::builder(protocol)
        .host(host)
        .port(port.unwrap_or(default_port));
    if let Some(name) = parsed.username() {
        proxy = proxy.username(name);
    }
    if let Some(password) = parsed.password() {
        proxy = proxy.password(password);
    }
    let proxy = proxy.build();
    proxy.map_err(|_| "it is not the URL of a proxy".to_owned())
}

/// Whether a host is asked without a proxy: this machine always, others if
/// `NO_PROXY` names them.
// curl: Curl_check_noproxy. Go: golang.org/x/net/http/httpproxy
fn is_excepted(except: &str, host: &str, port: u16) -> bool {
    let host = plain(host);
    let address = address(&host);
    let is_here = address.is_some_and(|it| it.is_loopback())
        || host == "localhost"
        || host.ends_with(".localhost");
    // curl splits at blanks, Go does not: no host has any.
    let mut entries = except
        .split(|it: char| it == ',' || it.is_whitespace())
        .filter(|entry| !entry.is_empty());
    is_here || entries.any(|entry| matches(entry, &host, address, port))
}

fn matches(
    entry: &str,
    host: &str,
    address: Option<IpAddr>,
    port: u16,
) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = entry.split_once('/') {
        return address.is_some_and(|it| is_within(it, network, bits));
    }
    // An IPv6 address has colons, and may be without brackets.
    let (named, its_port) = match entry.parse::<Ipv6Addr>() {
        Ok(_) => (entry, None),
        Err(_) => match host_and_port(entry) {
            Ok(parts) => parts,
            Err(_) => return false,
        },
    };
    if its_port.is_some_and(|it| it != port) {
        return false;
    }
    let named = plain(named);
    // Of an address a part is no domain.
    if address.is_some() {
        return self::address(&named) == address;
    }
    // Go: `*.a` means only subdomains of a. curl: `.a` means a as well.
    let (domain, is_below) = match named.strip_prefix("*.") {
        Some(domain) => (domain, true),
        None => (named.strip_prefix('.').unwrap_or(&named), false),
    };
    match host.strip_suffix(domain) {
        _ if domain.is_empty() => false,
        Some("") => !is_below,
        Some(rest) => rest.ends_with('.'),
        None => false,
    }
}

/// Whether an address is in a network such as `10.0.0.0/8`.
fn is_within(address: IpAddr, network: &str, bits: &str) -> bool {
    let is_number = bits.bytes().all(|it| it.is_ascii_digit());
    let bits = bits.parse::<u32>().ok().filter(|_| is_number);
    let network: Option<IpAddr> = plain(network).parse().ok();
    let (Some(bits), Some(network)) = (bits, network) else {
        return false;
    };
    let is_same = |a: u128, b: u128, length: u32| {
        // With length 0, all bits are shifted out.
        bits <= length && (a ^ b).checked_shr(length - bits).unwrap_or(0) == 0
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            is_same(a.to_bits().into(), b.to_bits().into(), 32)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            is_same(a.to_bits(), b.to_bits(), 128)
        }
        // An address of version 4 may be written as one of version 6.
        (IpAddr::V4(a), IpAddr::V6(b)) => {
            is_same(a.to_ipv6_mapped().to_bits(), b.to_bits(), 128)
        }
        (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// A host without brackets, a dot at its end, and capitals.
fn plain(host: &str) -> String {
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// The address that a host is, in its shortest form.
fn address(host: &str) -> Option<IpAddr> {
    Some(host.parse::<IpAddr>().ok()?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(
        variables: &[(&str, &str)],
        url: &str,
    ) -> Result<Option<(ProxyProtocol, String, u16)>, String> {
        let proxies = Proxies::new(|name| {
            let found = variables.iter().find(|it| it.0 == name);
            found.map(|it| it.1.to_owned())
        });
        let found = proxies.of(&url.parse().unwrap())?;
        Ok(found.map(|it| (it.protocol(), it.host().to_owned(), it.port())))
    }

    #[test]
    fn every_variable_is_handed_over_by_hg() {
        let asked = std::cell::RefCell::new(Vec::new());
        Proxies::new(|name| {
            asked.borrow_mut().push(name.to_owned());
            None
        });
        for name in asked.into_inner() {
            let block = format!("{name}=x\0");
            let part =
                uilog_channel::sink_environment::needed(block.as_bytes(), &[]);
            assert_eq!(part, block.as_bytes());
        }
    }

    #[test]
    fn the_variables_are_those_of_curl() {
        let host = |variables: &[(&str, &str)], url| {
            proxy(variables, url).unwrap().map(|it| it.1)
        };
        let all: &[_] = &[
            ("HTTP_PROXY", "http://cgi"),
            ("HTTPS_PROXY", "http://https"),
            ("ALL_PROXY", "http://all"),
        ];
        assert_eq!(host(all, "http://a/").as_deref(), Some("all"));
        assert_eq!(host(all, "https://a/").as_deref(), Some("https"));
        assert_eq!(host(&all[..1], "http://a/"), None);
        let lower: &[_] =
            &[("https_proxy", "http://lower"), ("HTTPS_PROXY", "http://x")];
        assert_eq!(host(lower, "https://a/").as_deref(), Some("lower"));
        assert_eq!(host(lower, "http://a/"), None);
    }

    #[test]
    fn a_proxys_url_may_be_short() {
        let of = |url: &str| {
            let found = proxy(&[("https_proxy", url)], "https://a/").unwrap();
            let (protocol, host, port) = found.unwrap();
            format!("{protocol} {host} {port}")
        };
        assert_eq!(of("p"), "HTTP p 80");
        assert_eq!(of("p:3128"), "HTTP p 3128");
        assert_eq!(of("p:3128/"), "HTTP p 3128");
        assert_eq!(of("me:s3cret@p:3128"), "HTTP p 3128");
        assert_eq!(of("http://me:s%40@p:3128/x?y"), "HTTP p 3128");
        assert_eq!(of("HTTPS://p"), "HTTPS p 443");
        assert_eq!(of("https://[::1]:8443"), "HTTPS [::1] 8443");
    }

    #[test]
    fn what_is_no_proxy_is_refused_by_the_name_of_its_variable() {
        for url in [
            "http://s3cret:x@p:70000",
            "p:0",
            "p:",
            "p:s3cret",
            "socks5h://s3cret@p",
            "SOCKS4://p",
            "ftp://s3cret@p",
            "http://",
            "http://s3cret@",
        ] {
            let variables = [("ALL_PROXY", url)];
            let error = proxy(&variables, "http://a/").unwrap_err();
            assert!(error.starts_with("ALL_PROXY: "), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn exceptions_are_looked_at_before_the_proxy_is() {
        for except in ["*", "a", " b , A. "] {
            let variables =
                [("ALL_PROXY", "socks5h://x"), ("NO_PROXY", except)];
            assert_eq!(proxy(&variables, "http://a:4318/"), Ok(None));
        }
        // Nothing is excepted by an empty variable.
        let variables = [("ALL_PROXY", "socks5h://x"), ("NO_PROXY", ",")];
        proxy(&variables, "http://a:4318/").unwrap_err();
    }

    #[test]
    fn this_machine_has_no_proxy() {
        for host in [
            "localhost",
            "LocalHost.",
            "a.localhost",
            "127.0.0.1",
            "127.255.0.7",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_excepted("", host, 1), "{host}");
        }
        for host in ["localhost.a", "128.0.0.1", "[::2]", "nolocalhost"] {
            assert!(!is_excepted("", host, 1), "{host}");
        }
    }

    #[test]
    fn exceptions_are_those_of_curl_and_go() {
        let yes = [
            ("*", "a.b"),
            ("x, *", "a.b"),
            ("a.b", "a.b"),
            ("A.B", "a.b"),
            ("a.b", "A.b."),
            ("a.b.", "a.b"),
            ("b", "a.b"),
            (".b", "a.b"),
            (".a.b", "a.b"),
            ("*.b", "a.b"),
            ("x,b", "a.b"),
            ("x b", "a.b"),
            ("\tx ,\n b,,", "a.b"),
            ("a.b:4318", "a.b"),
            (".b:4318", "a.b"),
            ("*.b:4318", "a.b"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3:4318", "10.1.2.3"),
            ("10.0.0.0/8", "10.1.2.3"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("0.0.0.0/0", "10.1.2.3"),
            ("10.1.2.0/23", "10.1.3.255"),
            ("::2", "[::2]"),
            ("[::2]", "[::2]"),
            ("[::2]:4318", "[::2]"),
            ("0:0::2", "[::2]"),
            ("2001:db8::/32", "[2001:db8:1::5]"),
            ("[2001:db8::]/32", "[2001:db8:1::5]"),
            ("2001:db8::/33", "[2001:db8:7fff::5]"),
            ("::/0", "[2001:db8::1]"),
            ("10.1.2.3", "[::ffff:10.1.2.3]"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("::ffff:10.0.0.0/104", "10.1.2.3"),
        ];
        for (except, host) in yes {
            assert!(is_excepted(except, host, 4318), "{except} {host}");
        }
        let no = [
            ("", "a.b"),
            (" , ", "a.b"),
            (".", "a.b"),
            ("*.", "a.b"),
            ("a", "a.b"),
            ("b", "ab"),
            ("a.b", "xa.b"),
            ("*.a.b", "a.b"),
            ("a.b:4317", "a.b"),
            ("a.b:", "a.b"),
            ("a.b:x", "a.b"),
            ("1.2.3", "10.1.2.3"),
            ("10.1.2.3:1", "10.1.2.3"),
            ("10.0.0.0/33", "10.1.2.3"),
            ("10.0.0.0/", "10.1.2.3"),
            ("10.0.0.0/-8", "10.1.2.3"),
            ("10.1.2.0/24", "10.1.3.2"),
            ("10.0.0.0/8", "10.a"),
            ("2001:db8::/33", "[2001:db8:8000::5]"),
            ("2001:db8::/129", "[2001:db8::5]"),
            ("::/0", "a.b"),
            ("::3", "[::2]"),
            ("[::2]:1", "[::2]"),
        ];
        for (except, host) in no {
            assert!(!is_excepted(except, host, 4318), "{except} {host}");
        }
    }
}
