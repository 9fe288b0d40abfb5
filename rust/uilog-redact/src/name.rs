//! Which names suggest a secret, and how strongly: `DB_PASSWORD`, `apiToken`,
//! `signing_key`, but not `token_type` or `bypass`.
//!
//! Must not know values, or what is assigned.

use crate::trie::Trie;
use crate::trie::most_nodes;

/// What a word in a name says of the value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SecretKind {
    /// It is a password: it may look like anything.
    Password,
    /// It may be a token, but also a part of speech, a type, a state.
    Token,
    /// It may be a few digits.
    Code,
    /// It may be a key, and most often is another thing.
    Key,
    /// The context of the word shows that it is not a secret.
    Doubtful,
}

/// A word in names.
struct SecretWord {
    word: &'static str,
    kind: SecretKind,
    /// Whether it counts only as a separate word: not in `bypass`, `author`.
    is_whole: bool,
}

const fn part(word: &'static str, kind: SecretKind) -> SecretWord {
    SecretWord {
        word,
        kind,
        is_whole: false,
    }
}

const fn whole(word: &'static str, kind: SecretKind) -> SecretWord {
    SecretWord {
        word,
        kind,
        is_whole: true,
    }
}

/// Words in names, in lower case.
const TELLING: [SecretWord; 132] = [
    part("password", SecretKind::Password),
    part("passwd", SecretKind::Password),
    part("passwrd", SecretKind::Password),
    part("passphrase", SecretKind::Password),
    part("pass_phrase", SecretKind::Password),
    part("passcode", SecretKind::Password),
    part("passwort", SecretKind::Password),
    part("kennwort", SecretKind::Password),
    part("contrasena", SecretKind::Password),
    part("contraseña", SecretKind::Password),
    part("mot_de_passe", SecretKind::Password),
    part("motdepasse", SecretKind::Password),
    whole("senha", SecretKind::Password),
    whole("pass", SecretKind::Password),
    whole("pwd", SecretKind::Password),
    whole("psw", SecretKind::Password),
    whole("pswd", SecretKind::Password),
    whole("pw", SecretKind::Password),
    whole("psk", SecretKind::Password),
    whole("masterauth", SecretKind::Password),
    part("presharedkey", SecretKind::Token),
    part("preshared_key", SecretKind::Token),
    part("pre_shared_key", SecretKind::Token),
    part("_auth", SecretKind::Token),
    part("secret", SecretKind::Token),
    part("token", SecretKind::Token),
    part("apikey", SecretKind::Token),
    part("api_key", SecretKind::Token),
    part("api-key", SecretKind::Token),
    part("api.key", SecretKind::Token),
    part("accesskey", SecretKind::Token),
    part("access_key", SecretKind::Token),
    part("access-key", SecretKind::Token),
    part("access.key", SecretKind::Token),
    part("private_key", SecretKind::Token),
    part("private-key", SecretKind::Token),
    part("privatekey", SecretKind::Token),
    part("signing_key", SecretKind::Token),
    part("signing-key", SecretKind::Token),
    part("signingkey", SecretKind::Token),
    part("encryption_key", SecretKind::Token),
    part("encryption-key", SecretKind::Token),
    part("encryptionkey", SecretKind::Token),
    part("auth_key", SecretKind::Token),
    part("auth-key", SecretKind::Token),
    part("authkey", SecretKind::Token),
    part("account_key", SecretKind::Token),
    part("accountkey", SecretKind::Token),
    part("shared_key", SecretKind::Token),
    part("sharedkey", SecretKind::Token),
    part("account-key", SecretKind::Token),
    part("shared-key", SecretKind::Token),
    part("license-key", SecretKind::Token),
    part("license_key", SecretKind::Token),
    part("licensekey", SecretKind::Token),
    part("consumer_key", SecretKind::Token),
    part("consumer-key", SecretKind::Token),
    part("consumerkey", SecretKind::Token),
    part("client_key", SecretKind::Token),
    part("client-key", SecretKind::Token),
    part("clientkey", SecretKind::Token),
    part("master_key", SecretKind::Token),
    part("master-key", SecretKind::Token),
    part("masterkey", SecretKind::Token),
    part("app_key", SecretKind::Token),
    part("app-key", SecretKind::Token),
    part("appkey", SecretKind::Token),
    part("application_key", SecretKind::Token),
    part("application-key", SecretKind::Token),
    part("applicationkey", SecretKind::Token),
    part("service_key", SecretKind::Token),
    part("service-key", SecretKind::Token),
    part("servicekey", SecretKind::Token),
    part("storage_key", SecretKind::Token),
    part("storage-key", SecretKind::Token),
    part("storagekey", SecretKind::Token),
    part("session_key", SecretKind::Token),
    part("session-key", SecretKind::Token),
    part("sessionkey", SecretKind::Token),
    part("server_key", SecretKind::Token),
    part("server-key", SecretKind::Token),
    part("serverkey", SecretKind::Token),
    part("subscription_key", SecretKind::Token),
    part("subscription-key", SecretKind::Token),
    part("subscriptionkey", SecretKind::Token),
    part("function_key", SecretKind::Token),
    part("function-key", SecretKind::Token),
    part("functionkey", SecretKind::Token),
    part("ingest_key", SecretKind::Token),
    part("ingest-key", SecretKind::Token),
    part("ingestkey", SecretKind::Token),
    part("write_key", SecretKind::Token),
    part("write-key", SecretKind::Token),
    part("writekey", SecretKind::Token),
    part("admin_key", SecretKind::Token),
    part("admin-key", SecretKind::Token),
    part("adminkey", SecretKind::Token),
    part("integration_key", SecretKind::Token),
    part("integration-key", SecretKind::Token),
    part("integrationkey", SecretKind::Token),
    part("deploy_key", SecretKind::Token),
    part("deploy-key", SecretKind::Token),
    part("deploykey", SecretKind::Token),
    part("device_key", SecretKind::Token),
    part("device-key", SecretKind::Token),
    part("devicekey", SecretKind::Token),
    part("publish_key", SecretKind::Token),
    part("publish-key", SecretKind::Token),
    part("publishkey", SecretKind::Token),
    part("credential", SecretKind::Token),
    whole("creds", SecretKind::Token),
    whole("pat", SecretKind::Token),
    whole("jwt", SecretKind::Token),
    whole("bearer", SecretKind::Token),
    whole("sas", SecretKind::Token),
    whole("pin", SecretKind::Code),
    whole("otp", SecretKind::Code),
    whole("totp", SecretKind::Code),
    whole("mfa", SecretKind::Code),
    whole("auth", SecretKind::Key),
    whole("key", SecretKind::Key),
    whole("hmac", SecretKind::Key),
    whole("salt", SecretKind::Key),
    whole("sid", SecretKind::Key),
    whole("session", SecretKind::Key),
    whole("sessionid", SecretKind::Key),
    whole("session_id", SecretKind::Key),
    whole("session-id", SecretKind::Key),
    whole("jsessionid", SecretKind::Key),
    whole("phpsessid", SecretKind::Key),
    whole("cookie", SecretKind::Key),
    part("_login", SecretKind::Key),
];

/// Words that are passwords at the end of a longer word, too (`dbpass`,
/// `bindpw`), and the words that only look so.
const GLUED: [&str; 4] = ["pass", "pwd", "pw", "psw"];
const NOT_GLUED: [&str; 20] = [
    "bypass",
    "compass",
    "trespass",
    "overpass",
    "underpass",
    "surpass",
    "encompass",
    "multipass",
    "lowpass",
    "highpass",
    "bandpass",
    "singlepass",
    "twopass",
    "onepass",
    "subpass",
    "renderpass",
    "askpass",
    "oldpwd",
    "minipass",
    "passthrough",
];

/// Words after a secret word that make it harmless: `token_type`.
const HARMLESS_ENDINGS: [&str; 117] = [
    "file",
    "files",
    "filename",
    "path",
    "paths",
    "dir",
    "directory",
    "url",
    "urls",
    "uri",
    "host",
    "hostname",
    "type",
    "types",
    "name",
    "names",
    "user",
    "username",
    "id",
    "ids",
    "kid",
    "len",
    "length",
    "count",
    "counts",
    "counter",
    "size",
    "sizes",
    "limit",
    "limits",
    "max",
    "min",
    "minimum",
    "maximum",
    "prompt",
    "prompts",
    "authentication",
    "fd",
    "re",
    "regex",
    "command",
    "cmd",
    "helper",
    "field",
    "fields",
    "param",
    "params",
    "parameter",
    "expiry",
    "expire",
    "expires",
    "expired",
    "expiration",
    "ttl",
    "time",
    "timeout",
    "lifetime",
    "age",
    "stdin",
    "env",
    "var",
    "variable",
    "policy",
    "policies",
    "prefix",
    "suffix",
    "store",
    "provider",
    "ring",
    "class",
    "format",
    "mode",
    "hint",
    "status",
    "version",
    "label",
    "title",
    "description",
    "placeholder",
    "rule",
    "rules",
    "strength",
    "manager",
    "required",
    "enabled",
    "disabled",
    "ref",
    "reference",
    "arn",
    "issuer",
    "audience",
    "scope",
    "scopes",
    "algorithm",
    "alg",
    "method",
    "source",
    "location",
    "endpoint",
    "validator",
    "callback",
    "handler",
    "index",
    "position",
    "pos",
    "ize",
    "izer",
    "ary",
    "less",
    "header",
    "headers",
    "days",
    "hours",
    "minutes",
    "seconds",
    "attempts",
    "retries",
];

/// Words before a secret word that make it harmless: `has_password`.
const HARMLESS_BEGINNINGS: [&str; 16] = [
    "no", "has", "is", "use", "uses", "need", "needs", "require", "allow",
    "enable", "disable", "max", "min", "num", "ask", "show",
];

/// Words before `key` that mean no secret one.
const HARMLESS_KEYS: [&str; 50] = [
    "public",
    "pub",
    "cache",
    "primary",
    "foreign",
    "sort",
    "partition",
    "routing",
    "lookup",
    "dedup",
    "idempotency",
    "group",
    "config",
    "json",
    "dict",
    "map",
    "row",
    "hash",
    "object",
    "lock",
    "translation",
    "node",
    "rev",
    "index",
    "order",
    "unique",
    "event",
    "message",
    "bucket",
    "blob",
    "known",
    "host",
    "parent",
    "issue",
    "ticket",
    "query",
    "search",
    "registry",
    "item",
    "entry",
    "column",
    "record",
    "tag",
    "branch",
    "bookmark",
    "file",
    "path",
    "restore",
    "artifact",
    "socket",
];

/// The words that [`crate::patterns`] searches for before it calls the finder
/// of assignments.
pub(crate) const WORDS: [&str; TELLING.len()] = {
    let mut words = [""; TELLING.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = TELLING[at].word;
        at += 1;
    }
    words
};

const NODES: usize =
    Trie::<{ most_nodes(&WORDS) }, { WORDS.len() }>::new(&WORDS).len();

static TRIE: Trie<NODES, { WORDS.len() }> = Trie::new(&WORDS);

/// The secret words in a text, by their beginnings. They may overlap: `rootpw`
/// contains `otp`.
pub(crate) fn find(text: &[u8]) -> impl Iterator<Item = SecretWordMatch> {
    TRIE.find(text).map(|found| SecretWordMatch {
        number: found.word,
        start: found.start,
        end: found.end,
    })
}

/// A secret word in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SecretWordMatch {
    number: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl SecretWordMatch {
    /// Whether this counts only as a separate word.
    pub(crate) fn is_short(&self) -> bool {
        TELLING[self.number].is_whole
    }

    /// What the name that contains this word suggests.
    fn kind(&self, name: &[u8]) -> Option<SecretKind> {
        let telling = &TELLING[self.number];
        if telling.is_whole && !self.is_whole(name, telling.word) {
            return None;
        }
        // .NET: how an assembly names the key that it is signed with.
        if name.eq_ignore_ascii_case(b"publickeytoken") {
            return None;
        }
        // `GIT_AUTHOR_DATE`
        if telling.word == "_auth"
            && name[self.end..]
                .get(..2)
                .is_some_and(|rest| rest.eq_ignore_ascii_case(b"or"))
        {
            return None;
        }
        let (before, after) = self.neighbours(name);
        if telling.kind == SecretKind::Key
            && before.iter().any(|part| is_one_of(part, &HARMLESS_KEYS))
        {
            return None;
        }
        if is_harmless(&before, &after) {
            return Some(SecretKind::Doubtful);
        }
        Some(telling.kind)
    }

    /// The words before and after this one in a name.
    fn neighbours<'n>(&self, name: &'n [u8]) -> (Vec<&'n [u8]>, Vec<&'n [u8]>) {
        let Self { start, end, .. } = *self;
        // A word that ends with this one is a separate word before it:
        // `requirepass`.
        let is_inside = start > 0
            && name[start - 1].is_ascii_alphabetic()
            && !(name[start].is_ascii_uppercase()
                && name[start - 1].is_ascii_lowercase());
        let begin = if is_inside {
            name[..start]
                .iter()
                .rposition(|byte| !byte.is_ascii_alphabetic())
                .map_or(0, |at| at + 1)
        } else {
            start
        };
        (parts(&name[..begin]), parts(&name[end..]))
    }

    /// What the name from `start` to `end`, which contains this word, suggests.
    pub(crate) fn kind_in(
        &self,
        text: &[u8],
        start: usize,
        end: usize,
    ) -> Option<SecretKind> {
        let word = Self {
            start: self.start - start,
            end: self.end - start,
            ..*self
        };
        word.kind(&text[start..end])
    }

    /// Whether the word is separate in the name, or at the end of another one
    /// as passwords are.
    fn is_whole(&self, name: &[u8], word: &str) -> bool {
        let is_end = name.get(self.end).is_none_or(|next| {
            !next.is_ascii_alphabetic()
                || (next.is_ascii_uppercase()
                    && name[self.end - 1].is_ascii_lowercase())
        });
        let before = self.start.checked_sub(1).map(|at| name[at]);
        let is_start = before.is_none_or(|before| {
            !before.is_ascii_alphabetic()
                || (name[self.start].is_ascii_uppercase()
                    && before.is_ascii_lowercase())
        });
        if !is_end || name == b"PWD" {
            return false;
        }
        if is_start {
            return true;
        }
        let begin = name[..self.start]
            .iter()
            .rposition(|byte| !byte.is_ascii_alphabetic())
            .map_or(0, |before| before + 1);
        let whole = &name[begin..self.end];
        GLUED.contains(&word)
            && !NOT_GLUED.iter().any(|other| {
                whole.len() >= other.len()
                    && whole[whole.len() - other.len()..]
                        .eq_ignore_ascii_case(other.as_bytes())
            })
    }
}

/// Whether the words around a secret word make it harmless.
fn is_harmless(before: &[&[u8]], after: &[&[u8]]) -> bool {
    let ends = |part: Option<&&[u8]>| {
        part.is_some_and(|part| is_one_of(part, &HARMLESS_ENDINGS))
    };
    ends(after.first())
        || ends(after.last())
        || before
            .first()
            .is_some_and(|part| is_one_of(part, &HARMLESS_BEGINNINGS))
}

fn is_one_of(word: &[u8], list: &[&str]) -> bool {
    list.iter()
        .any(|other| word.eq_ignore_ascii_case(other.as_bytes()))
}

/// The words that a name is made of: between `_`, `-`, `.`, digits, and where
/// small letters become capital ones.
fn parts(name: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in 0..=name.len() {
        let is_end = name.get(at).is_none_or(|b| !b.is_ascii_alphabetic());
        let is_camel = !is_end
            && at > start
            && name[at].is_ascii_uppercase()
            && name[at - 1].is_ascii_lowercase();
        if is_end || is_camel {
            if at > start {
                parts.push(&name[start..at]);
            }
            start = if is_end { at + 1 } else { at };
        }
    }
    parts
}

/// What the last secret word of a name suggests, the longest of several.
pub(crate) fn kind(name: &[u8]) -> Option<SecretKind> {
    find(name)
        .filter_map(|word| Some((word, word.kind(name)?)))
        .max_by_key(|(word, _)| (word.end, word.end - word.start))
        .map(|(_, kind)| kind)
}

/// Whether any value of this name is a secret: that of an event's option.
pub(crate) fn is_secret_name(name: &[u8]) -> bool {
    const HEADERS: [&[u8]; 2] = [b"authorization", b"cookie"];
    let parts = parts(name);
    let is_header = parts.iter().any(|part| {
        HEADERS
            .iter()
            .any(|header| part.eq_ignore_ascii_case(header))
    });
    is_header
        || match kind(name) {
            Some(
                SecretKind::Password | SecretKind::Token | SecretKind::Code,
            ) => true,
            Some(SecretKind::Key) => parts
                .last()
                .is_some_and(|part| part.eq_ignore_ascii_case(b"auth")),
            Some(SecretKind::Doubtful) | None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell() {
        for name in [
            "password",
            "OPT_TOKEN",
            "apiKey",
            "db_pass",
            "dbPass",
            "DB_PW",
            "bindpw",
            "SSHPASS",
            "SIGNING_KEY_ANDROID",
            "API_TOKEN_PACKAGES",
            "DB_PASSWORD_STAGE",
            "SECRET_IDENTITY",
            "requirepass",
            "authorization",
            "set-cookie",
            "proxy_authorization",
            "auth",
        ] {
            assert!(is_secret_name(name.as_bytes()), "{name}");
        }
        for name in [
            "token_type",
            "password-file",
            "PASSWORD_MIN_LENGTH",
            "bypass",
            "passed",
            "PWD",
            "OLDPWD",
            "GIT_ASKPASS",
            "secretary",
            "tokenizer",
            "key",
            "author",
            "has_password",
            "max_tokens",
            "canonical_command",
            "cookies",
            "pattern",
        ] {
            assert!(!is_secret_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_name_is_taken_apart() {
        let parts = |name: &'static str| {
            super::parts(name.as_bytes())
                .into_iter()
                .map(|part| std::str::from_utf8(part).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(parts("dbPass_word-2x.Y"), ["db", "Pass", "word", "x", "Y"]);
        assert_eq!(parts("API_TOKEN"), ["API", "TOKEN"]);
    }
}
