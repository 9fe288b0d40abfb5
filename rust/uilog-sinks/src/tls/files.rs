//! Reads certificates and keys from PEM files, and explains what is wrong with
//! them.
//!
//! Explanations never contain content of a file, except names of known kinds of
//! PEM blocks. Must not know how certificates are used.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use uilog_sys::foreign_file;

/// Maximum size of a file of certificates or keys. All certificates that a
/// system trusts have a quarter of a megabyte.
const MAX_PEM_BYTES: u64 = 4 << 20;
/// What editors of some systems put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The expected content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Certificate,
    Key,
}

/// The certificates in the file of an option.
///
/// # Errors
///
/// There is none, or one cannot be parsed.
pub(super) fn certificates(
    path: &Path,
    option: &str,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(path, option)?;
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(without_mark(&text)).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => {
            Err(wrong(path, option, &text, Expected::Certificate))
        }
    }
}

/// The private key in the file of an option.
///
/// # Errors
///
/// There is none, or it cannot be read.
pub(super) fn key(
    path: &Path,
    option: &str,
) -> Result<PrivateKeyDer<'static>, String> {
    let text = read(path, option)?;
    PrivateKeyDer::from_pem_slice(without_mark(&text))
        .map_err(|_| wrong(path, option, &text, Expected::Key))
}

/// Reads a file without blocking, up to a limit.
///
/// # Errors
///
/// It cannot be read.
pub(super) fn read(path: &Path, option: &str) -> Result<Vec<u8>, String> {
    foreign_file::read(path, MAX_PEM_BYTES)
        .map_err(|error| format!("{option} {}: {error}", path.display()))
}

fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

fn wrong(path: &Path, option: &str, text: &[u8], what: Expected) -> String {
    let path = path.display();
    format!("{option} {path}: {}", diagnosis(text, what))
}

/// Why a text does not have the expected content, and what to do about it.
/// Without the dashes of PEM, which would be redacted as a key.
fn diagnosis(text: &[u8], expected: Expected) -> String {
    let kind = match expected {
        Expected::Certificate => "certificate",
        Expected::Key => "private key",
    };
    let text = without_mark(text);
    if text.trim_ascii().is_empty() {
        return format!("it is empty: put a {kind} in PEM there");
    }
    if is_binary(text) {
        return of_binary(text, expected);
    }
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        return "it is UTF-16: save it as UTF-8".to_owned();
    }
    let text = String::from_utf8_lossy(text);
    let labels: Vec<_> = text
        .match_indices("-----BEGIN ")
        .filter_map(|(at, begin)| text[at + begin.len()..].split_once("-----"))
        .map(|(label, _)| label)
        .collect();
    if labels.is_empty() {
        let label = match expected {
            Expected::Certificate => "CERTIFICATE",
            Expected::Key => "PRIVATE KEY",
        };
        return format!("it is not PEM: there is no line 'BEGIN {label}'");
    }
    if expected == Expected::Key && is_encrypted(&text) {
        return "the key is encrypted, and uilog cannot ask for its \
            passphrase: decrypt it with 'openssl pkey -in OLD -out NEW', \
            and make the new file unreadable for others"
            .to_owned();
    }
    if !labels.iter().any(|it| is_of(it, expected)) {
        let names: Vec<_> = labels.iter().filter_map(|it| named(it)).collect();
        return match names.first() {
            Some(name) => format!("it contains {name}, not a {kind}"),
            None => format!("there is no {kind} in it"),
        };
    }
    if !stand_alone(&text) {
        return "its lines are joined: BEGIN and END must each be on a line of \
            its own"
            .to_owned();
    }
    if text.matches("-----END ").count() < labels.len() {
        return "it is incomplete: the line with END is missing".to_owned();
    }
    format!("the {kind} in it is damaged: copy it again")
}

/// Whether a sequence of DER begins there: its first byte is a digit in a text.
fn is_binary(text: &[u8]) -> bool {
    text.first() == Some(&0x30)
        && text.iter().any(|byte| *byte == 0 || !byte.is_ascii())
}

/// DER, or a file with both a certificate and a key.
fn of_binary(der: &[u8], expected: Expected) -> String {
    // PKCS #12: a sequence that begins with the version 3
    if der.get(4..7) == Some(&[0x02, 0x01, 0x03]) {
        return "it is PKCS #12, not PEM: convert it with 'openssl pkcs12 -in \
            OLD -out NEW -nodes'"
            .to_owned();
    }
    let program = match expected {
        Expected::Certificate => "x509",
        Expected::Key => "pkey",
    };
    format!(
        "it is DER, not PEM: convert it with 'openssl {program} -inform DER \
         -in OLD -out NEW'"
    )
}

fn is_encrypted(text: &str) -> bool {
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || text.contains("Proc-Type: 4,ENCRYPTED")
}

fn is_of(label: &str, expected: Expected) -> bool {
    match expected {
        Expected::Certificate => label == "CERTIFICATE",
        Expected::Key => ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]
            .contains(&label),
    }
}

/// The names of PEM blocks that files often contain by mistake. Unknown names
/// are not shown: they may be anything.
fn named(label: &str) -> Option<&'static str> {
    Some(match label {
        "CERTIFICATE" => "a certificate",
        "TRUSTED CERTIFICATE" => "a certificate in OpenSSL's own format",
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            "a request for a certificate"
        }
        "PRIVATE KEY"
        | "RSA PRIVATE KEY"
        | "EC PRIVATE KEY"
        | "ENCRYPTED PRIVATE KEY" => "a private key",
        "OPENSSH PRIVATE KEY" => "an SSH key",
        "PUBLIC KEY" | "RSA PUBLIC KEY" => "a public key",
        "PKCS7" | "CMS" => "a PKCS #7 bundle",
        "X509 CRL" => "a revocation list",
        "DH PARAMETERS" | "EC PARAMETERS" => "a file of parameters",
        "PGP PRIVATE KEY BLOCK" => "a PGP key",
        _ => return None,
    })
}

/// Whether the beginning and the end of a section are on their own lines.
fn stand_alone(text: &str) -> bool {
    let mut lines = text.split(['\n', '\r']);
    lines.all(|line| {
        let begins =
            line.find("-----BEGIN ").or_else(|| line.find("-----END "));
        match begins {
            None => true,
            Some(0) => {
                let rest = line["-----".len()..].split_once("-----");
                rest.is_some_and(|(_, rest)| rest.trim().is_empty())
            }
            Some(_) => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "MIIC4jCCAcqgAwIBAgIQUyIzOYpGcaF4sCNLfgIG8TANBgkq";

    fn section(label: &str) -> String {
        format!("-----BEGIN {label}-----\n{BODY}\n-----END {label}-----\n")
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_and_nothing_that_is_in_it() {
        use Expected::Certificate;
        use Expected::Key;
        let one_line = section("PRIVATE KEY").replace('\n', " ");
        let escaped = section("PRIVATE KEY").replace('\n', "\\n");
        let indented =
            section("CERTIFICATE").replace("-----BEGIN", " -----BEGIN");
        let incomplete = format!("-----BEGIN PRIVATE KEY-----\n{BODY}\n");
        let old = format!(
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
             DEK-Info: AES-256-CBC,00\n\n{BODY}\n-----END RSA PRIVATE KEY-----"
        );
        let joined = "its lines are joined";
        let cases: &[(&[u8], Expected, &str)] = &[
            (b" \n", Certificate, "it is empty: put a certificate in PEM"),
            (b"", Key, "it is empty: put a private key in PEM there"),
            (b"secret", Key, "there is no line 'BEGIN PRIVATE KEY'"),
            (
                b"\x30\x82\x03\x01\x30\x82",
                Certificate,
                "openssl x509 -inform",
            ),
            (
                b"\x30\x82\x04\xbe\x02\x01\x00",
                Key,
                "openssl pkey -inform DER",
            ),
            (
                b"\x30\x82\x04\xbe\x02\x01\x03",
                Key,
                "it is PKCS #12, not PEM",
            ),
            (b"\x30\x77\x02\x01\x01\x04\x20\x80", Key, "openssl pkey"),
            (b"\xff\xfe-\0-\0-\0-\0-\0B\0", Key, "it is UTF-16"),
            (b"0815", Key, "it is not PEM"),
            (one_line.as_bytes(), Key, joined),
            (escaped.as_bytes(), Key, joined),
            (indented.as_bytes(), Certificate, joined),
            (incomplete.as_bytes(), Key, "it is incomplete"),
            (old.as_bytes(), Key, "the key is encrypted"),
        ];
        for (text, expected, told) in cases {
            let diagnosis = diagnosis(text, *expected);
            assert!(diagnosis.contains(told), "{told}: {diagnosis}");
            assert!(!diagnosis.contains("MII"), "{diagnosis}");
        }
        for (label, expected, told) in [
            ("ENCRYPTED PRIVATE KEY", Key, "the key is encrypted"),
            (
                "CERTIFICATE",
                Key,
                "it contains a certificate, not a private key",
            ),
            (
                "PRIVATE KEY",
                Certificate,
                "it contains a private key, not a certificate",
            ),
            (
                "OPENSSH PRIVATE KEY",
                Key,
                "it contains an SSH key, not a private key",
            ),
            ("s3cret", Key, "there is no private key in it"),
            (
                "CERTIFICATE",
                Certificate,
                "the certificate in it is damaged",
            ),
        ] {
            let diagnosis = diagnosis(section(label).as_bytes(), expected);
            assert!(diagnosis.starts_with(told), "{told}: {diagnosis}");
        }
    }
}
