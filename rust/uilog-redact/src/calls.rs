//! Passwords and keys in calls of programs, in any language: `signIn('bob',
//! X)`, `bcrypt.hash(X, 10)`, `hmac.New(f, []byte(X))`.
//!
//! The call's name shows its purpose. Only quoted text is removed, and only if
//! it looks chosen as a password or machine-made. [`crate::assignment`] handles
//! values with a name (`password=X`).

use memchr::memchr_iter;

use crate::finding::Finding;
use crate::rule::Rule;
use crate::rule::marker_at;
use crate::steps;
use crate::value::looks_like_password;
use crate::value::looks_machine_made;

/// Parts of names of calls with a password or a key among their arguments.
const KEYS: [&str; 25] = [
    "argon2",
    "bcrypt",
    "decrypt",
    "derivebytes",
    "encrypt",
    "hmac",
    "hs256",
    "hs384",
    "hs512",
    "keyspec",
    "passphrase",
    "passwd",
    "password",
    "pbkdf2",
    "scrypt",
    "secretstring",
    "securevalue",
    "securitykey",
    "signedstring",
    "signwith",
    "symmetrickey",
    "wifi.begin",
    "x509certificate",
    "passprotection",
    "username_pw",
];

/// Parts of names of calls with a user and a password among their arguments.
const LOGINS: [&str; 17] = [
    "auth",
    "connect",
    "credential",
    "ftp",
    "github",
    "imap",
    "jira",
    "keyring",
    "ldap",
    "login",
    "sequelize",
    "sftp",
    "signin",
    "sign_in",
    "smtp",
    "ssh",
    "winrm",
];

/// Parts of names of calls with a token among their arguments.
const CLIENTS: [&str; 8] = [
    "api", "bot", "client", "github", "gitlab", "oauth", "sdk", "token",
];

/// What brings this finder to work.
pub(crate) const WORDS: [&str; KEYS.len() + LOGINS.len() + CLIENTS.len()] = {
    let mut words = [""; KEYS.len() + LOGINS.len() + CLIENTS.len()];
    let mut at = 0;
    while at < KEYS.len() {
        words[at] = KEYS[at];
        at += 1;
    }
    while at < KEYS.len() + LOGINS.len() {
        words[at] = LOGINS[at - KEYS.len()];
        at += 1;
    }
    while at < words.len() {
        words[at] = CLIENTS[at - KEYS.len() - LOGINS.len()];
        at += 1;
    }
    words
};

const MAX_NAME_BYTES: usize = 64;
const MAX_CALL_BYTES: usize = 256;

/// Secrets in calls.
pub(crate) fn find(text: &[u8], found: &mut Vec<Finding>) {
    let mut done = 0;
    for open in memchr_iter(b'(', text) {
        if open < done {
            continue;
        }
        let name = name_before(&text[..open]);
        steps::add(name.len());
        let is = |words: &[&str]| {
            words.iter().any(|word| {
                name.windows(word.len())
                    .any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
            })
        };
        // Lua: red:auth(X)
        let is_key = is(&KEYS) || name.ends_with(b":auth");
        let is_login = is(&LOGINS);
        let is_client = is(&CLIENTS);
        if !is_key && !is_login && !is_client || is(&["validat"]) {
            continue;
        }
        let (texts, end) = texts(text, open + 1);
        steps::add(end - open);
        let value = |literal: &Literal| &text[literal.start..literal.end];
        let secret = if is_key {
            texts.iter().find(|literal| is_password(value(literal)))
        } else if is_login {
            texts.iter().rev().find(|literal| {
                literal.argument > 0 && is_password(value(literal))
            })
        } else {
            None
        };
        let secret = secret.or_else(|| {
            texts
                .iter()
                .rev()
                .find(|literal| looks_machine_made(value(literal)))
        });
        if let Some(secret) = secret {
            done = secret.end;
            found.push(Finding::new(secret.start..secret.end, Rule::SECRET));
        }
    }
}

/// The name of the called function, with its objects.
fn name_before(before: &[u8]) -> &[u8] {
    // Python: http_auth=('alice', X)
    let before = before.strip_suffix(b"=").unwrap_or(before);
    let len = before
        .iter()
        .rev()
        .take(MAX_NAME_BYTES)
        .take_while(|byte| {
            byte.is_ascii_alphanumeric() || b"_.:>-".contains(byte)
        })
        .count();
    &before[before.len() - len..]
}

/// A text in quotes.
struct Literal {
    start: usize,
    end: usize,
    /// Which argument it belongs to, counted from 0.
    argument: usize,
}

/// The quoted arguments of a call that are passed without a name, and the end
/// of the call.
fn texts(text: &[u8], start: usize) -> (Vec<Literal>, usize) {
    let mut texts = Vec::new();
    let mut depth = 0usize;
    let mut argument = 0;
    let mut at = start;
    let limit = text.len().min(start + MAX_CALL_BYTES);
    while at < limit {
        if let Some(len) = marker_at(&text[at..]) {
            at += len;
            continue;
        }
        match text[at] {
            b'\n' => break,
            b'(' => depth += 1,
            b')' if depth == 0 => break,
            b')' => depth -= 1,
            b',' if depth == 0 => argument += 1,
            quote @ (b'\'' | b'"' | b'`') => {
                let len = text[at + 1..limit]
                    .iter()
                    .position(|byte| *byte == quote || *byte == b'\n');
                let Some(len) = len else {
                    break;
                };
                let end = at + 1 + len;
                let is_named = text[at - 1] == b'='
                    || text.get(end + 1) == Some(&b':')
                    || text[..at].ends_with(b": ")
                    || text[..at].ends_with(b"=> ")
                    || text[..at].ends_with(b"= ");
                if !is_named {
                    texts.push(Literal {
                        start: at + 1,
                        end,
                        argument,
                    });
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    (texts, at.min(text.len()))
}

/// Whether this looks like a password, and not like a host, a path, an address,
/// a format, a name of an algorithm.
fn is_password(value: &[u8]) -> bool {
    const ALGORITHMS: [&[u8]; 20] = [
        b"aes", b"argon", b"blake", b"chacha", b"des", b"ecdsa", b"ed25519",
        b"es2", b"es3", b"hmac", b"hs2", b"hs3", b"hs5", b"latin", b"md5",
        b"p-", b"rs", b"sha", b"utf", b"x509",
    ];
    let lower = value.to_ascii_lowercase();
    let is_word = value.iter().all(|byte| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || b"_-".contains(byte)
    }) && value.iter().any(|byte| b"_-".contains(byte));
    looks_like_password(value)
        && !is_word
        && !value.iter().any(|byte| b"./@:,(){}<>$%=\\ ".contains(byte))
        && !ALGORITHMS.iter().any(|name| lower.starts_with(name))
        && !value.iter().all(|byte| {
            byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_'
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(text.as_bytes(), &mut found);
        found.into_iter().map(|found| &text[found.range]).collect()
    }

    #[test]
    fn a_call_for_passwords_is_given_one() {
        for text in [
            "bcrypt.hash('Wolke7', 10)",
            "signInWithEmailAndPassword(auth, 'b@x.example', 'Wolke7')",
            "ldap3.Connection(s, 'cn=x', 'Wolke7', auto_bind=True)",
            "ssh.connect(\"h\", 22, \"bob\", \"Wolke7\")",
            "hmac.New(sha256.New, []byte(\"Wolke7\"))",
            "Jwts.builder().signWith(HS256, \"Wolke7\")",
            "red:auth('default', 'Wolke7')",
        ] {
            assert_eq!(found(text), ["Wolke7"], "{text}");
        }
    }

    #[test]
    fn other_arguments_are_harmless() {
        for text in [
            "connect('db1.example', 5432, 'app')",
            "login('test_user1')",
            "hmac.new(key, m, 'sha256')",
            "crypto.createHmac('sha256', key)",
            "ssh.connect('10.0.0.1', username='deploy2024')",
            "check_password('may not have fewer than 8 characters')",
            "auth.get('X_TOKEN_2')",
            "client.get('/v2/items/4711')",
            "login('bob', <redacted:secret>)",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
