//! Which names tell of a secret, and how sure that is: `DB_PASSWORD`,
//! `apiToken`, `signing_key`, but not `token_type` or `bypass`.
//!
//! Knows no values, and not what is assigned to them.

use crate::trie::Trie;
use crate::trie::most_nodes;

/// What a word in a name says of the value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
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
struct Telling {
    word: &'static str,
    kind: Kind,
    /// Whether it counts only as a word of its own: not in `bypass`, `author`.
    is_whole: bool,
}

const fn part(word: &'static str, kind: Kind) -> Telling {
    Telling {
        word,
        kind,
        is_whole: false,
    }
}

const fn whole(word: &'static str, kind: Kind) -> Telling {
    Telling {
        word,
        kind,
        is_whole: true,
    }
}

/// Words in names, in lower case.
const TELLING: [Telling; 132] = [
    part("password", Kind::Password),
    part("passwd", Kind::Password),
    part("passwrd", Kind::Password),
    part("passphrase", Kind::Password),
    part("pass_phrase", Kind::Password),
    part("passcode", Kind::Password),
    part("passwort", Kind::Password),
    part("kennwort", Kind::Password),
    part("contrasena", Kind::Password),
    part("contraseña", Kind::Password),
    part("mot_de_passe", Kind::Password),
    part("motdepasse", Kind::Password),
    whole("senha", Kind::Password),
    whole("pass", Kind::Password),
    whole("pwd", Kind::Password),
    whole("psw", Kind::Password),
    whole("pswd", Kind::Password),
    whole("pw", Kind::Password),
    whole("psk", Kind::Password),
    whole("masterauth", Kind::Password),
    part("presharedkey", Kind::Token),
    part("preshared_key", Kind::Token),
    part("pre_shared_key", Kind::Token),
    part("_auth", Kind::Token),
    part("secret", Kind::Token),
    part("token", Kind::Token),
    part("apikey", Kind::Token),
    part("api_key", Kind::Token),
    part("api-key", Kind::Token),
    part("api.key", Kind::Token),
    part("accesskey", Kind::Token),
    part("access_key", Kind::Token),
    part("access-key", Kind::Token),
    part("access.key", Kind::Token),
    part("private_key", Kind::Token),
    part("private-key", Kind::Token),
    part("privatekey", Kind::Token),
    part("signing_key", Kind::Token),
    part("signing-key", Kind::Token),
    part("signingkey", Kind::Token),
    part("encryption_key", Kind::Token),
    part("encryption-key", Kind::Token),
    part("encryptionkey", Kind::Token),
    part("auth_key", Kind::Token),
    part("auth-key", Kind::Token),
    part("authkey", Kind::Token),
    part("account_key", Kind::Token),
    part("accountkey", Kind::Token),
    part("shared_key", Kind::Token),
    part("sharedkey", Kind::Token),
    part("account-key", Kind::Token),
    part("shared-key", Kind::Token),
    part("license-key", Kind::Token),
    part("license_key", Kind::Token),
    part("licensekey", Kind::Token),
    part("consumer_key", Kind::Token),
    part("consumer-key", Kind::Token),
    part("consumerkey", Kind::Token),
    part("client_key", Kind::Token),
    part("client-key", Kind::Token),
    part("clientkey", Kind::Token),
    part("master_key", Kind::Token),
    part("master-key", Kind::Token),
    part("masterkey", Kind::Token),
    part("app_key", Kind::Token),
    part("app-key", Kind::Token),
    part("appkey", Kind::Token),
    part("application_key", Kind::Token),
    part("application-key", Kind::Token),
    part("applicationkey", Kind::Token),
    part("service_key", Kind::Token),
    part("service-key", Kind::Token),
    part("servicekey", Kind::Token),
    part("storage_key", Kind::Token),
    part("storage-key", Kind::Token),
    part("storagekey", Kind::Token),
    part("session_key", Kind::Token),
    part("session-key", Kind::Token),
    part("sessionkey", Kind::Token),
    part("server_key", Kind::Token),
    part("server-key", Kind::Token),
    part("serverkey", Kind::Token),
    part("subscription_key", Kind::Token),
    part("subscription-key", Kind::Token),
    part("subscriptionkey", Kind::Token),
    part("function_key", Kind::Token),
    part("function-key", Kind::Token),
    part("functionkey", Kind::Token),
    part("ingest_key", Kind::Token),
    part("ingest-key", Kind::Token),
    part("ingestkey", Kind::Token),
    part("write_key", Kind::Token),
    part("write-key", Kind::Token),
    part("writekey", Kind::Token),
    part("admin_key", Kind::Token),
    part("admin-key", Kind::Token),
    part("adminkey", Kind::Token),
    part("integration_key", Kind::Token),
    part("integration-key", Kind::Token),
    part("integrationkey", Kind::Token),
    part("deploy_key", Kind::Token),
    part("deploy-key", Kind::Token),
    part("deploykey", Kind::Token),
    part("device_key", Kind::Token),
    part("device-key", Kind::Token),
    part("devicekey", Kind::Token),
    part("publish_key", Kind::Token),
    part("publish-key", Kind::Token),
    part("publishkey", Kind::Token),
    part("credential", Kind::Token),
    whole("creds", Kind::Token),
    whole("pat", Kind::Token),
    whole("jwt", Kind::Token),
    whole("bearer", Kind::Token),
    whole("sas", Kind::Token),
    whole("pin", Kind::Code),
    whole("otp", Kind::Code),
    whole("totp", Kind::Code),
    whole("mfa", Kind::Code),
    whole("auth", Kind::Key),
    whole("key", Kind::Key),
    whole("hmac", Kind::Key),
    whole("salt", Kind::Key),
    whole("sid", Kind::Key),
    whole("session", Kind::Key),
    whole("sessionid", Kind::Key),
    whole("session_id", Kind::Key),
    whole("session-id", Kind::Key),
    whole("jsessionid", Kind::Key),
    whole("phpsessid", Kind::Key),
    whole("cookie", Kind::Key),
    part("_login", Kind::Key),
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

/// Words behind a telling word that make it harmless: `token_type`.
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

/// Words before a telling word that make it harmless: `has_password`.
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

/// What [`crate::patterns`] looks for before it calls the finder of
/// assignments.
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

/// Where telling words stand in a text, by their beginnings. They may overlap:
/// there is `otp` in `rootpw`.
pub(crate) fn find(text: &[u8]) -> impl Iterator<Item = Occurrence> {
    TRIE.find(text).map(|found| Occurrence {
        number: found.word,
        start: found.start,
        end: found.end,
    })
}

/// A telling word in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occurrence {
    number: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Occurrence {
    /// Whether this counts only as a word of its own.
    pub(crate) fn is_short(&self) -> bool {
        TELLING[self.number].is_whole
    }

    /// What a name tells in which this word stands.
    fn kind(&self, name: &[u8]) -> Option<Kind> {
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
        let (before, after) = self.around(name);
        if telling.kind == Kind::Key
            && before.iter().any(|part| is_one_of(part, &HARMLESS_KEYS))
        {
            return None;
        }
        if is_harmless(&before, &after) {
            return Some(Kind::Doubtful);
        }
        Some(telling.kind)
    }

    /// The words before and behind this one in a name.
    fn around<'n>(&self, name: &'n [u8]) -> (Vec<&'n [u8]>, Vec<&'n [u8]>) {
        let Self { start, end, .. } = *self;
        // The word that this is the end of is none before it: `requirepass`.
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

    /// What the name from `start` to `end` tells, in which this word stands.
    pub(crate) fn kind_in(
        &self,
        text: &[u8],
        start: usize,
        end: usize,
    ) -> Option<Kind> {
        let word = Self {
            start: self.start - start,
            end: self.end - start,
            ..*self
        };
        word.kind(&text[start..end])
    }

    /// Whether the word is one of its own in the name, or at the end of one
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

/// Whether the words around a telling one make it harmless.
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

/// What the last telling word of a name says, the longest of several.
pub(crate) fn kind(name: &[u8]) -> Option<Kind> {
    find(name)
        .filter_map(|word| Some((word, word.kind(name)?)))
        .max_by_key(|(word, _)| (word.end, word.end - word.start))
        .map(|(_, kind)| kind)
}

/// Whether any value of this name is a secret: that of an event's option.
pub(crate) fn is_telling(name: &[u8]) -> bool {
    const HEADERS: [&[u8]; 2] = [b"authorization", b"cookie"];
    let parts = parts(name);
    let is_header = parts.iter().any(|part| {
        HEADERS
            .iter()
            .any(|header| part.eq_ignore_ascii_case(header))
    });
    is_header
        || match kind(name) {
            Some(Kind::Password | Kind::Token | Kind::Code) => true,
            Some(Kind::Key) => parts
                .last()
                .is_some_and(|part| part.eq_ignore_ascii_case(b"auth")),
            Some(Kind::Doubtful) | None => false,
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
            assert!(is_telling(name.as_bytes()), "{name}");
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
            assert!(!is_telling(name.as_bytes()), "{name}");
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
