//! Parses a certificate: its names, its validity, its key.
//!
//! Reads what is needed to describe a certificate to the user, and to use one
//! that the user has listed itself. Must not decide whom to trust, which
//! `verify` does. webpki verifies chains of certificates.
// RFC 5280, section 4.1; X.690 for the encoding

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use chrono::DateTime;
use chrono::NaiveDateTime;
use chrono::Utc;
use rustls::pki_types::ServerName;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0]`: the version.
const VERSION: u8 = 0xa0;
/// `[3]`: the extensions.
const EXTENSIONS: u8 = 0xa3;
/// `[2]` of a general name.
const DNS_NAME: u8 = 0x82;
/// `[7]` of a general name.
const IP_ADDRESS: u8 = 0x87;

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// 2.5.29.37
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// 2.5.29.37.0
const ANY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
/// 1.3.6.1.5.5.7.3.1
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// The fields of a certificate that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The host names and addresses of the extension.
    pub(crate) names: Vec<Name>,
    /// The last common name of the subject.
    pub(crate) common_name: Option<String>,
    /// From when it is valid.
    pub(crate) not_before: DateTime<Utc>,
    /// Until when it is valid.
    pub(crate) not_after: DateTime<Utc>,
    /// Whether its issuer has its own name.
    pub(crate) is_self_issued: bool,
    /// Whether a server may use it.
    pub(crate) is_for_servers: bool,
    /// The `SubjectPublicKeyInfo`, whole.
    pub(crate) key: Vec<u8>,
}

/// A name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A host, perhaps with `*` for its first label.
    Host(String),
    /// An address.
    Address(IpAddr),
}

/// The parts of a `SubjectPublicKeyInfo`.
pub(crate) struct Key<'a> {
    /// The algorithm with its parameters, without the enclosing sequence.
    pub(crate) algorithm: &'a [u8],
    /// The key itself.
    pub(crate) bits: &'a [u8],
}

impl Certificate {
    /// Reads a certificate; none if it is damaged.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let mut whole = Reader(der).open(SEQUENCE)?;
        let mut fields = whole.open(SEQUENCE)?;
        // Version 1 is the default, and omitted.
        fields.optional(VERSION);
        fields.value(INTEGER)?;
        fields.value(SEQUENCE)?;
        let issuer = fields.value(SEQUENCE)?;
        let mut validity = fields.open(SEQUENCE)?;
        let subject = fields.value(SEQUENCE)?;
        let key = fields.whole(SEQUENCE)?;
        let mut certificate = Self {
            names: Vec::new(),
            common_name: common_name(subject),
            not_before: validity.time()?,
            not_after: validity.time()?,
            is_self_issued: issuer == subject,
            is_for_servers: true,
            key: key.to_vec(),
        };
        // Unique identifiers, which are not used in practice, may come before.
        while !fields.0.is_empty() {
            let (tag, value, _) = fields.next()?;
            if tag == EXTENSIONS {
                certificate.read_extensions(value)?;
            }
        }
        Some(certificate)
    }

    fn read_extensions(&mut self, value: &[u8]) -> Option<()> {
        let mut all = Reader(value).open(SEQUENCE)?;
        while !all.0.is_empty() {
            let mut extension = all.open(SEQUENCE)?;
            let id = extension.value(OBJECT_ID)?;
            let mut value = extension.next()?;
            // Whether it is critical comes between.
            while value.0 != OCTET_STRING {
                value = extension.next()?;
            }
            match id {
                SUBJECT_ALT_NAME => self.names = names(value.1)?,
                EXTENDED_KEY_USAGE => {
                    self.is_for_servers = is_for_servers(value.1)?;
                }
                _ => {}
            }
        }
        Some(())
    }

    /// Whether it is for this server. If the extension has no names, the common
    /// name counts, as it does for curl.
    pub(crate) fn is_for(&self, server: &ServerName<'_>) -> bool {
        match server {
            ServerName::DnsName(host) => {
                let host = host.as_ref();
                self.hosts().any(|name| matches(name, host))
            }
            ServerName::IpAddress(address) => {
                let address = IpAddr::from(*address);
                if self.names.is_empty() {
                    let name = self.common_name.as_deref();
                    return name.and_then(|it| it.parse().ok())
                        == Some(address);
                }
                self.names.contains(&Name::Address(address))
            }
            _ => false,
        }
    }

    fn hosts(&self) -> impl Iterator<Item = &str> {
        let common = self.common_name.as_deref();
        let common = common.filter(|_| self.names.is_empty());
        let named = self.names.iter().filter_map(|it| match it {
            Name::Host(host) => Some(host.as_str()),
            Name::Address(_) => None,
        });
        named.chain(common)
    }

    /// The certificate's names as text.
    pub(crate) fn shown_names(&self) -> String {
        let names = self.names.iter().map(|it| match it {
            Name::Host(host) => host.clone(),
            Name::Address(address) => address.to_string(),
        });
        let mut names: Vec<_> = names.collect();
        if names.is_empty() {
            names.extend(self.common_name.clone());
        }
        shown(&names)
    }
}

/// The first few of what may be a long list.
pub(crate) fn shown(names: &[String]) -> String {
    const MAX_NAMES: usize = 4;
    match names {
        [] => "nobody".to_owned(),
        names if names.len() > MAX_NAMES => {
            let more = names.len() - MAX_NAMES;
            format!("{} and {more} more", names[..MAX_NAMES].join(", "))
        }
        names => names.join(", "),
    }
}

impl<'a> Key<'a> {
    /// Parses a `SubjectPublicKeyInfo`.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        let mut fields = Reader(der).open(SEQUENCE)?;
        let algorithm = fields.value(SEQUENCE)?;
        // The number of bits that do not count: none.
        let bits = fields.value(BIT_STRING)?.strip_prefix(&[0])?;
        Some(Self { algorithm, bits })
    }
}

/// Whether a name in a certificate means a host.
// RFC 6125, section 6.4.3: `*` is a whole label, the first one
fn matches(name: &str, host: &str) -> bool {
    let (name, host) = (name.trim_end_matches('.'), host.trim_end_matches('.'));
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some(name), Some((first, rest))) =
        (name.strip_prefix("*."), host.split_once('.'))
    else {
        return false;
    };
    !first.is_empty() && name.contains('.') && name.eq_ignore_ascii_case(rest)
}

fn common_name(subject: &[u8]) -> Option<String> {
    let mut sets = Reader(subject);
    let mut found = None;
    while !sets.0.is_empty() {
        let mut attributes = sets.open(SET)?;
        while !attributes.0.is_empty() {
            let mut attribute = attributes.open(SEQUENCE)?;
            let id = attribute.value(OBJECT_ID)?;
            let (_, value, _) = attribute.next()?;
            if id == COMMON_NAME {
                found = Some(String::from_utf8_lossy(value).into_owned());
            }
        }
    }
    found
}

fn names(value: &[u8]) -> Option<Vec<Name>> {
    let mut all = Reader(value).open(SEQUENCE)?;
    let mut names = Vec::new();
    while !all.0.is_empty() {
        let (tag, value, _) = all.next()?;
        match tag {
            DNS_NAME => {
                let host = String::from_utf8_lossy(value).into_owned();
                names.push(Name::Host(host));
            }
            IP_ADDRESS => names.extend(address(value).map(Name::Address)),
            _ => {}
        }
    }
    Some(names)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|it| Ipv4Addr::from(it).into());
    let v6 = <[u8; 16]>::try_from(bytes).map(|it| Ipv6Addr::from(it).into());
    v4.or(v6).ok()
}

fn is_for_servers(value: &[u8]) -> Option<bool> {
    let mut all = Reader(value).open(SEQUENCE)?;
    while !all.0.is_empty() {
        if [SERVER_AUTH, ANY_USAGE].contains(&all.value(OBJECT_ID)?) {
            return Some(true);
        }
    }
    Some(false)
}

/// The unread rest of an encoding.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next element: its tag, its value, and both with the length.
    fn next(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (tag, length) = (*self.0.first()?, *self.0.get(1)?);
        let (head, length) = match length {
            0..=0x7f => (2, usize::from(length)),
            // A certificate has less than 16 MB.
            0x81..=0x83 => {
                let count = usize::from(length & 0x7f);
                let bytes = self.0.get(2..2 + count)?;
                let add = |all: usize, it: &u8| all << 8 | usize::from(*it);
                (2 + count, bytes.iter().fold(0, add))
            }
            _ => return None,
        };
        let whole = self.0.get(..head + length)?;
        self.0 = &self.0[whole.len()..];
        Some((tag, &whole[head..], whole))
    }

    fn value(&mut self, expected: u8) -> Option<&'a [u8]> {
        let (tag, value, _) = self.next()?;
        (tag == expected).then_some(value)
    }

    fn whole(&mut self, expected: u8) -> Option<&'a [u8]> {
        let (tag, _, whole) = self.next()?;
        (tag == expected).then_some(whole)
    }

    fn open(&mut self, expected: u8) -> Option<Self> {
        self.value(expected).map(Self)
    }

    fn optional(&mut self, tag: u8) {
        if self.0.first() == Some(&tag) {
            self.next();
        }
    }

    fn time(&mut self) -> Option<DateTime<Utc>> {
        let (tag, text, _) = self.next()?;
        let text = std::str::from_utf8(text).ok()?;
        let text = match tag {
            // RFC 5280, section 4.1.2.5.1: 50 is 1950, 49 is 2049
            UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
            UTC_TIME => format!("19{text}"),
            GENERALIZED_TIME => text.to_owned(),
            _ => return None,
        };
        let time = NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ");
        time.ok().map(|it| it.and_utc())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::CertificateParams;
    use rcgen::DnType;
    use rcgen::ExtendedKeyUsagePurpose;
    use rcgen::KeyPair;

    use super::*;

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let key = KeyPair::generate().expect("a key");
        let names = ["a.example", "*.b.example", "127.0.0.1", "::1"];
        let names = names.map(str::to_owned).to_vec();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, "common");
        change(&mut params);
        let made = params.self_signed(&key).expect("a certificate");
        made.der().to_vec()
    }

    fn is_for(certificate: &Certificate, name: &str) -> bool {
        let name = ServerName::try_from(name).expect("a name");
        certificate.is_for(&name)
    }

    #[test]
    fn a_certificate_is_read() {
        let read = Certificate::read(&made(|params| {
            params.not_before = rcgen::date_time_ymd(1999, 1, 2);
            params.not_after = rcgen::date_time_ymd(2051, 3, 4);
        }));
        let read = read.expect("it is whole");
        assert!(read.is_self_issued);
        assert!(read.is_for_servers);
        assert_eq!(read.not_before.to_rfc3339(), "1999-01-02T00:00:00+00:00");
        assert_eq!(read.not_after.to_rfc3339(), "2051-03-04T00:00:00+00:00");
        assert_eq!(read.common_name.as_deref(), Some("common"));
        assert_eq!(
            read.shown_names(),
            "a.example, *.b.example, 127.0.0.1, ::1"
        );
        let key = Key::read(&read.key).expect("a key");
        assert!(!key.algorithm.is_empty() && !key.bits.is_empty());
        for name in ["a.example", "A.Example", "x.b.example", "127.0.0.1"] {
            assert!(is_for(&read, name), "{name}");
        }
        assert!(is_for(&read, "::1"));
        for name in ["b.example", "x.y.b.example", "common", "127.0.0.2"] {
            assert!(!is_for(&read, name), "{name}");
        }
    }

    #[test]
    fn the_common_name_counts_where_nothing_else_is_named() {
        let named = |name: &str| {
            let made = made(|params| {
                params.subject_alt_names.clear();
                params.distinguished_name.push(DnType::CommonName, name);
            });
            Certificate::read(&made).expect("it is whole")
        };
        assert!(is_for(&named("localhost"), "localhost"));
        assert!(is_for(&named("127.0.0.1"), "127.0.0.1"));
        assert!(!is_for(&named("localhost"), "127.0.0.1"));
        assert!(!is_for(&named("*"), "localhost"));
        assert_eq!(named("localhost").shown_names(), "localhost");
    }

    #[test]
    fn it_is_known_what_it_may_be_used_for() {
        for (usage, is_for_servers) in [
            (ExtendedKeyUsagePurpose::ServerAuth, true),
            (ExtendedKeyUsagePurpose::Any, true),
            (ExtendedKeyUsagePurpose::ClientAuth, false),
        ] {
            let made = made(|it| it.extended_key_usages = vec![usage.clone()]);
            let read = Certificate::read(&made).expect("it is whole");
            assert_eq!(read.is_for_servers, is_for_servers, "{usage:?}");
        }
    }

    proptest! {
        #[test]
        fn damage_is_survived(at in 0_usize..1000, byte in any::<u8>()) {
            let mut made = made(|_| {});
            let at = at % made.len();
            made[at] = byte;
            let _read = Certificate::read(&made);
            let _cut = Certificate::read(&made[..at]);
            let _key = Key::read(&made[at..]);
        }
    }
}
