//! Tests that the time is linear: texts that repeat the beginning of each rule,
//! alone and with possible continuations, at two lengths.
//!
//! Counts the bytes that finders examine (`steps.rs`), and measures no time.

use crate::Policy;
use crate::Redactor;
use crate::headers;
use crate::name;
use crate::programs;
use crate::shape::SHAPES;
use crate::steps;
use crate::token::TOKENS;

/// The shorter length.
const BYTES: usize = 1 << 10;

/// The shorter length for what had not reached its bound at the other.
const LONG_BYTES: usize = 32 << 10;

/// How many times as long the longer text is.
const TIMES: usize = 4;

/// How much more work the longer text may make: quadratic work would be
/// `TIMES` times `TIMES`.
const MAX_TIMES: usize = 6;

/// How much of the work may not depend on the length.
const CONSTANT: usize = 4 << 10;

/// What begins something that none of the tables has.
const OTHERS: &[&str] = &[
    "hg ",
    "$HG",
    "${HG}",
    "$HG commit -m ",
    "hg 'x ",
    "'password:' ab1 ",
    "curl -u 'a:b1' ",
    "hg \"x ",
    "hg ci -m '",
    "hg --config x.y=",
    "auth.x.password=",
    "auth.x.password = ",
    "auth.x.password='",
    "://",
    "https://",
    "https://a:b",
    "https://a:b@",
    "https://a:b/",
    "x%3A%2F%2Fa%3Ab",
    ":\\/\\/a:b",
    "?key=",
    "&key=",
    "cmd=?key=",
    "?x&y#z;",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY",
    "Private-Lines: 9\nA",
    "Private-MAC: 0",
    "\"kty\":",
    "\"kty\":\"d\":\"",
    "\"d\": ",
    "{\"name\": \"TOKEN\", ",
    "\"value\": \"x\", \"name\": \"TOKEN",
    "<password>",
    "<password a=\"b\">",
    "${TOKEN:-",
    "setenv TOKEN ",
    "\\\"",
    "\\\\\\\"",
    "\\n",
    "'\\''",
    "&quot;",
    "&amp;",
    "&#34;",
    "%25",
    "%22",
    "\\u0022",
    "\x1b[31m",
    "\x1b[",
    "<redacted:",
    "<redacted:secret>",
    "<user:",
    "'",
    "\"",
    "`",
    "=",
    " exited 0 after 1 seconds",
    "' expands to '",
    "login(",
    "login('a', ",
    "a.hmac(b('c'), ",
    "auth('",
    "['a', ",
    "['a', '-p', 'b c'], ",
    "[a, -p, ",
    ".arg(\"a\")",
    "{\"a\": \"b\", ",
    "\n- a",
    "\n  - -p\n  - a",
    "command: a\nargs:\n",
    "<a>b</a>",
    "<a>",
    "a \"b 'c ",
    "\0-p",
    "sudo -u a ",
    "docker exec a ",
    "  File \"x\"\n    token=",
    "a",
    "A1",
    " ",
    "\n",
    "/",
    "@",
    ":",
];

/// Texts that may follow a secret word.
const VALUES: &[&str] = &[
    "=", "=/tmp/", "=self.", "=$(", "=${", "='", "=\"", "=\\\"", "='\\''",
    "=a'", "=a\"b", "=x(", "=a&", "=a;", ": ", ": \"", ": |\n ", "\": \"",
    "', '", "'): '", " ", " '", " = a", "==\"", ":a@", "<", ">",
];

/// What may follow any other beginning.
const FOLLOWING: &[&str] = &[" -p ", "'", "=a "];

/// Words that represent all of their kind.
const SAMPLES: &[&str] = &["password", "pw", "token", "API_KEY", "key", "otp"];

fn pieces() -> Vec<String> {
    let mut pieces: Vec<String> =
        name::WORDS.iter().map(|word| format!("{word}=")).collect();
    for word in SAMPLES {
        pieces.extend(VALUES.iter().map(|value| format!("{word}{value}")));
    }
    let mut beginnings: Vec<String> =
        OTHERS.iter().map(|&other| other.to_owned()).collect();
    beginnings
        .extend(headers::ENDINGS.iter().map(|ending| format!("x{ending}:")));
    pieces.extend(
        programs::table::NAMES
            .iter()
            .map(|name| format!("{name} -p ")),
    );
    for shape in SHAPES {
        pieces.extend(shape.words.iter().map(|&word| word.to_owned()));
        // All but the secret, and a part of it.
        let example = shape.example.split("{+}").next();
        pieces.extend(example.map(str::to_owned));
    }
    for token in TOKENS {
        pieces.extend(token.prefixes.first().map(|&prefix| prefix.to_owned()));
        // Everything except the last byte, so that the search is in vain.
        let mut example = token.example.replace("{+}", "");
        example.pop();
        pieces.push(example);
    }
    for beginning in beginnings {
        for following in FOLLOWING {
            pieces.push(format!("{beginning}{following}"));
        }
        pieces.push(beginning);
    }
    pieces
}

/// A way to redact.
type Redact = fn(&Redactor, &[u8]);

const TEXT: Redact = |redactor, text| {
    redactor.redact_text(text);
};
const COMMAND: Redact = |redactor, line| {
    redactor.redact_command(line);
};
const PROGRAM: Redact = |redactor, line| {
    redactor.redact_program(line);
};

fn work(
    redactor: &Redactor,
    redact: Redact,
    piece: &str,
    times: usize,
) -> usize {
    let text = piece.repeat(times);
    steps::take();
    redact(redactor, text.as_bytes());
    steps::take()
}

/// The work for a piece over and over, and for `TIMES` times as many.
fn compare(
    redactor: &Redactor,
    redact: Redact,
    piece: &str,
    bytes: usize,
) -> (usize, usize) {
    // Whole pieces, so that both texts end in the same way.
    let pieces = bytes / piece.len() + 1;
    (
        work(redactor, redact, piece, pieces),
        work(redactor, redact, piece, TIMES * pieces),
    )
}

fn is_linear(short: usize, long: usize) -> bool {
    long <= MAX_TIMES * short + CONSTANT
}

#[test]
fn the_work_is_linear_whatever_the_text() {
    let redactor = Redactor::new(&Policy::default());
    let mut most = 0;
    for piece in pieces() {
        // How a command is parsed does not affect its words.
        let is_sample = OTHERS.iter().any(|other| piece.starts_with(other));
        let ways: &[Redact] = if is_sample {
            &[TEXT, COMMAND, PROGRAM]
        } else {
            &[TEXT]
        };
        for redact in ways {
            let (short, long) = compare(&redactor, *redact, &piece, BYTES);
            assert!(short >= BYTES, "{piece:?}: nothing was looked at");
            if !is_linear(short, long) {
                // Bounded work may not have reached its bound.
                let (short, long) =
                    compare(&redactor, *redact, &piece, LONG_BYTES);
                assert!(
                    is_linear(short, long),
                    "{piece:?} over and over: {short} steps, {long} for \
                     {TIMES} times as long"
                );
            }
            most = most.max(long / BYTES / TIMES);
        }
    }
    println!("at most {most} steps a byte");
}

/// That the above would see it if a finder looked over the same bytes again.
#[test]
fn quadratic_work_is_seen() {
    let quadratic = |bytes: usize| {
        steps::take();
        for at in 0..bytes {
            steps::add(bytes - at);
        }
        steps::take()
    };
    assert!(quadratic(TIMES * BYTES) > MAX_TIMES * quadratic(BYTES) + CONSTANT);
}
