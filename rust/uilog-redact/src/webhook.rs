//! URLs that are secrets as a whole, because anybody who knows one may post to
//! it: webhooks, pings, triggers, of any host.
//!
//! The host and the path up to the first part that looks random stay.

use memchr::memmem;

use crate::example_value::is_example;
use crate::finding::Finding;
use crate::rule::Rule;
use crate::rule::marker_at;
use crate::steps;
use crate::value::ends_url;

/// Parts of a path after which a secret may follow.
const PARTS: [&[u8]; 20] = [
    b"webhook",
    b"webhooks",
    b"hook",
    b"hooks",
    b"build_hooks",
    b"build-hooks",
    b"deploy-hooks",
    b"deploy_hooks",
    b"webhookb2",
    b"incomingwebhook",
    b"services",
    b"integration",
    b"integrations",
    b"catch",
    b"trigger",
    b"triggers",
    b"key",
    b"ping",
    b"incoming",
    // conda: https://HOST/t/TOKEN/CHANNEL
    b"t",
];

/// How such hosts begin.
const HOSTS: [&[u8]; 8] = [
    b"hooks.",
    b"webhook.",
    b"webhooks.",
    b"hc-ping.",
    b"hook.",
    b"ping.",
    b"maker.",
    b"api.day.app",
];

/// Maximum length of a URL.
const MAX_BYTES: usize = 2048;

/// The secret parts of such URLs.
pub(crate) fn find(text: &[u8], found: &mut Vec<Finding>) {
    for separator in memmem::find_iter(text, b"://") {
        let start = separator + 3;
        let near = &text[start..text.len().min(start + MAX_BYTES)];
        // Another URL within this one is examined separately.
        let near = &near[..memmem::find(near, b"://").unwrap_or(near.len())];
        let len = near
            .iter()
            .position(|byte| ends_url(*byte) || b"?#,;(){}[]|".contains(byte))
            .unwrap_or(near.len());
        steps::add(len);
        let url = &near[..len];
        let Some(path) = url.iter().position(|byte| *byte == b'/') else {
            continue;
        };
        let host = url[..path].to_ascii_lowercase();
        let mut is_hook = HOSTS.iter().any(|hook| host.starts_with(hook));
        let mut is_catch = false;
        let mut secret: Option<(usize, usize)> = None;
        let mut at = path + 1;
        for part in url[path + 1..].split(|byte| *byte == b'/') {
            if is_hook && (is_secret(part) || (is_catch && !part.is_empty())) {
                let from = secret.map_or(at, |(from, _)| from);
                secret = Some((from, at + part.len()));
            }
            let lower = part.to_ascii_lowercase();
            is_hook |= PARTS.contains(&&lower[..]);
            is_catch |= lower == b"catch";
            at += part.len() + 1;
        }
        if let Some((from, to)) = secret
            && (from..to).all(|at| marker_at(&url[at..]).is_none())
        {
            let range = start + from..start + to;
            found.push(Finding::new(range, Rule::WEBHOOK_URL));
        }
    }
}

/// Whether a part of a path was made by a machine, and is no number, date or
/// name with one.
fn is_secret(part: &[u8]) -> bool {
    const MIN_BYTES: usize = 16;
    const MIN_RUN: usize = 5;
    let digits = part.iter().filter(|b| b.is_ascii_digit()).count();
    let upper = part.iter().filter(|b| b.is_ascii_uppercase()).count();
    let lower = part.iter().filter(|b| b.is_ascii_lowercase()).count();
    // Slack's T00000000 and B00000000.
    let is_short = (9..MIN_BYTES).contains(&part.len())
        && digits > 0
        && upper > 2
        && part.iter().all(u8::is_ascii_alphanumeric);
    let is_long = part.len() >= MIN_BYTES
        && part.len() > digits
        && (digits > 2 || (upper > 3 && lower > 3))
        && part.split(|b| matches!(b, b'-' | b'_' | b'.')).any(|run| {
            run.len() >= MIN_RUN && run.iter().any(u8::is_ascii_digit)
                || run.len() >= MIN_BYTES
        });
    (is_short || is_long)
        && part
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.~@%+=:".contains(b))
        && !is_example(part)
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
    fn webhooks_of_any_host_are_found() {
        for (text, secret) in [
            (
                "https://chat.example/hooks/kn8uaih3ukxec78jm54rjyv9r1",
                "kn8uaih3ukxec78jm54rjyv9r1",
            ),
            (
                "x https://a.example/hooks/HfonlbgrA4fCyINSk/xdNH52dlm0erN4mMGvu01xmG y",
                "HfonlbgrA4fCyINSk/xdNH52dlm0erN4mMGvu01xmG",
            ),
            (
                "https://hc-ping.example/952e0355-8da7-d4e6-a1dd-332e9ea36aba",
                "952e0355-8da7-d4e6-a1dd-332e9ea36aba",
            ),
            (
                "https://pd.example/integration/78deb4b16b2fc34fcb1b39d2ec66b64f/enqueue",
                "78deb4b16b2fc34fcb1b39d2ec66b64f",
            ),
        ] {
            assert_eq!(found(text), [secret], "{text}");
        }
    }

    #[test]
    fn other_urls_are_harmless() {
        for text in [
            "https://hg.example/repo/rev/0123456789ab0123456789ab",
            "https://git.example/api/repos/o/r/hooks/12345678",
            "https://docs.example/webhooks/about-webhooks-and-github-apps",
            "https://ci.example/webhooks/gitlab?ref=0123456789abcdef0123",
            "https://hooks.example/services/<token>",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
