//! The events that Mercurial and its bundled extensions are known to emit, each
//! with a sample for trying a script.
//!
//! Other names are valid, too: third-party extensions have their own events.

/// An event that a program is known to emit.
#[derive(Clone, Copy, Debug)]
pub struct KnownEvent {
    /// Its name.
    pub name: &'static str,
    /// What must be enabled so that hg logs it.
    pub needs: Prerequisite,
    /// A message such as it has.
    pub message: &'static str,
    /// Options such as it has, as keys and values.
    pub options: &'static [(&'static str, Sample)],
}

/// What must be enabled before an event can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prerequisite {
    /// Nothing.
    Nothing,
    /// An extension.
    Extension(&'static str),
    /// A boolean item, as its section and its name.
    Item(&'static str, &'static str),
}

/// An option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// `True` or `False`.
    Bool(bool),
    /// An integer, as Python prints it.
    Int(&'static str),
    /// A float, as Python prints it.
    Float(&'static str),
    /// Bytes.
    Bytes(&'static str),
}

use Prerequisite::Extension;
use Prerequisite::Item;
use Prerequisite::Nothing;
use Sample::Bool;
use Sample::Bytes;
use Sample::Float;
use Sample::Int;

const fn plain(name: &'static str, message: &'static str) -> KnownEvent {
    KnownEvent {
        name,
        needs: Nothing,
        message,
        options: &[],
    }
}

const fn extension(
    needs: &'static str,
    name: &'static str,
    message: &'static str,
    options: &'static [(&'static str, Sample)],
) -> KnownEvent {
    KnownEvent {
        name,
        needs: Extension(needs),
        message,
        options,
    }
}

/// All of them, by name.
// hg: every call of ui.log in mercurial/ and hgext/, 6.3 to 7.2
pub const KNOWN: &[KnownEvent] = &[
    plain(
        "backupbundle",
        "saved backup bundle to .hg/strip-backup/0123456789ab-backup.hg\n",
    ),
    plain(
        "branchcache",
        "wrote branch cache with 1 labels and 1 nodes\n",
    ),
    plain("chgserver", "worker process exits\n"),
    plain("cmdserver", "request: runcommand\n"),
    plain("command", "status\n"),
    plain("commandalias", "alias 'st' expands to 'status'\n"),
    KnownEvent {
        name: "commandexception",
        needs: Nothing,
        message: "** unknown exception encountered, please report by \
            visiting\nTraceback (most recent call last):\n\
            RuntimeError: a sample\n",
        options: &[
            ("exception_type", Bytes("RuntimeError")),
            ("exception_message", Bytes("a sample")),
            (
                "exception_stacktrace",
                Bytes(
                    "Traceback (most recent call last):\n\
                     RuntimeError: a sample\n",
                ),
            ),
            ("fingerprint", Bytes("0123456789abcdef")),
        ],
    },
    KnownEvent {
        name: "commandfinish",
        needs: Nothing,
        message: "status exited 0 after 1.25 seconds\n",
        options: &[
            ("return_code", Int("0")),
            ("duration", Float("1.25")),
            ("canonical_command", Bytes("status")),
        ],
    },
    KnownEvent {
        name: "commandlost",
        needs: Extension("uilog"),
        message: "status was lost after 1.25 seconds\n",
        options: &[
            ("canonical_command", Bytes("status")),
            ("duration", Float("1.25")),
            ("began", Bytes("2026-03-01T09:12:44.120733+01:00")),
            ("cause", Bytes("signal")),
            ("signal", Int("9")),
        ],
    },
    extension(
        "uilog",
        "commandslow",
        "commit has been running for 60.00 seconds (lock)\n",
        &[
            ("canonical_command", Bytes("commit")),
            ("running", Float("60.0")),
            ("began", Bytes("2026-03-01T09:12:44.120733+01:00")),
            ("times", Int("1")),
            ("phase", Bytes("lock")),
            ("lock", Bytes("wlock")),
            ("holder", Bytes("sample:4711")),
            ("holder_host", Bytes("sample")),
            ("holder_pid", Int("4711")),
        ],
    ),
    plain("debug", "a sample\n"),
    plain(
        "develwarn",
        "devel-warn: a sample at: /sample.py:1 (sample)\n",
    ),
    plain(
        "discovery",
        "found 1 common and 0 unknown server heads, 1 roundtrips in \
         0.0100s\n",
    ),
    plain("extension", "loading extensions\n"),
    KnownEvent {
        name: "exthook",
        needs: Nothing,
        message: "exthook-precommit: true finished in 0.01 seconds\n",
        options: &[
            ("hook", Bytes("precommit")),
            ("hooktype", Bytes("precommit")),
            ("duration", Float("0.0125")),
            ("source", Bytes("/sample/.hg/hgrc:2")),
            ("exit_code", Int("0")),
            ("vetoed", Bool(false)),
        ],
    },
    extension(
        "remotefilelog",
        "filestore_packsizes",
        "\n",
        &[("numpacks", Int("1")), ("totalpacksize", Int("4096"))],
    ),
    extension("fsmonitor", "fsmonitor", "clock = c:1:2:3:4\n", &[]),
    extension(
        "histedit",
        "histedit",
        "2 actions to histedit\n",
        &[("histedit_num_actions", Int("2"))],
    ),
    KnownEvent {
        name: "hookrefused",
        needs: Extension("uilog"),
        message: "hook precommit.sample has not run: untrusted\n",
        options: &[
            ("hook", Bytes("precommit.sample")),
            ("hooktype", Bytes("precommit")),
            ("reason", Bytes("untrusted")),
            ("vetoed", Bool(true)),
            ("source", Bytes("/sample/.hg/hgrc:2")),
        ],
    },
    plain("incoming", "1 incoming changes - new heads: 0123456789ab\n"),
    extension(
        "remotefilelog",
        "linkrevfixup",
        "adjusting linknode\n",
        &[("filepath", Bytes("sample")), ("successful", Bool(true))],
    ),
    extension(
        "uilog",
        "lockbroken",
        "broke wlock of sample:4711, which has ended\n",
        &[
            ("lock", Bytes("wlock")),
            ("holder", Bytes("sample:4711")),
            ("holder_host", Bytes("sample")),
            ("holder_pid", Int("4711")),
        ],
    ),
    extension(
        "uilog",
        "lockwait",
        "waited 1.25 seconds for wlock held by sample:4711 (got)\n",
        &[
            ("lock", Bytes("wlock")),
            ("waited", Float("1.25")),
            ("outcome", Bytes("got")),
            ("holder", Bytes("sample:4711")),
            ("holder_host", Bytes("sample")),
            ("holder_pid", Int("4711")),
            ("holder_command", Bytes("commit")),
            ("holder_session", Bytes("0123456789abcdef0123456789abcdef")),
        ],
    ),
    KnownEvent {
        name: "peerclose",
        needs: Extension("uilog"),
        message: "ssh://sample/repo closed after 1.25 seconds\n",
        options: &[
            ("url", Bytes("ssh://sample/repo")),
            ("duration", Float("1.25")),
            ("outcome", Bytes("closed")),
            ("leaked", Bool(false)),
            ("exit_code", Int("0")),
            ("bytes_sent", Int("1024")),
            ("bytes_received", Int("4096")),
            ("roundtrips", Int("2")),
            ("wire_time", Float("0.5")),
            ("wire_commands", Bytes("getbundle=1:0.400 hello=1:0.100")),
            ("connected", Float("2.5")),
        ],
    },
    plain("profile", "a sample\n"),
    KnownEvent {
        name: "pythonhook",
        needs: Nothing,
        message: "pythonhook-precommit: sample.hook finished in 0.01 \
            seconds\n",
        options: &[
            ("hook", Bytes("precommit")),
            ("hooktype", Bytes("precommit")),
            ("duration", Float("0.0125")),
            ("source", Bytes("/sample/.hg/hgrc:2")),
            ("result", Bool(false)),
            ("vetoed", Bool(false)),
        ],
    },
    extension(
        "rebase",
        "rebase",
        "using in-memory rebase: True\n",
        &[("rebase_imm_used", Bool(true))],
    ),
    extension(
        "remotefilelog",
        "remotefilefetchlog",
        "Success\n",
        &[("fetched_files", Int("1")), ("total_to_fetch", Int("1"))],
    ),
    extension(
        "remotefilelog",
        "remotefilelog",
        "remote cache hit rate is 1 of 2\n",
        &[("hit", Int("1")), ("total", Int("2"))],
    ),
    plain("repocache", "repos in cache: 1\n"),
    extension(
        "uilog",
        "session",
        "hg 7.2.4 on Python 3.11.2 with uilog 0.1.0\n",
        &[
            ("hg_version", Bytes("7.2.4")),
            ("python_version", Bytes("3.11.2")),
            ("uilog_version", Bytes("0.1.0")),
            ("modules", Bytes("c")),
            ("extensions", Bytes("uilog=0.1.0")),
            ("container", Bool(false)),
            ("os_name", Bytes("linux")),
            ("os_version", Bytes("6.1.0")),
            ("terminal", Bool(true)),
            ("starter", Bytes("person")),
        ],
    ),
    plain("tagscache", "0/1 cache hits/lookups in 0.0010 seconds\n"),
    KnownEvent {
        name: "uiblocked",
        needs: Item("ui", "logblockedtimes"),
        message: "ui blocked ms\n",
        options: &[
            ("stdio_blocked", Float("12.5")),
            ("command_duration", Float("1250.0")),
        ],
    },
    KnownEvent {
        name: "userwait",
        needs: Extension("uilog"),
        message: "waited 1.25 seconds for the user (editor)\n",
        options: &[
            ("kind", Bytes("editor")),
            ("duration", Float("1.25")),
            ("outcome", Bytes("done")),
        ],
    },
    extension(
        "fsmonitor",
        "watchman",
        "command state-enter completed in 0.01 seconds\n",
        &[],
    ),
    extension(
        "uilog",
        "wirefinish",
        "request getbundle took 1.25 seconds (ok)\n",
        &[
            ("duration", Float("1.25")),
            ("outcome", Bytes("ok")),
            ("bytes_sent", Int("4096")),
            ("bytes_received", Int("256")),
            ("request", Int("2")),
            ("wire_command", Bytes("getbundle")),
            ("repository", Bytes("/sample/repo")),
            ("remote_address", Bytes("192.0.2.1")),
        ],
    ),
    extension(
        "uilog",
        "wirerequest",
        "request getbundle begins\n",
        &[
            ("request", Int("2")),
            ("wire_command", Bytes("getbundle")),
            ("repository", Bytes("/sample/repo")),
            ("remote_address", Bytes("192.0.2.1")),
        ],
    ),
];

/// The event of this name, if it is a known one.
pub fn find(name: &[u8]) -> Option<&'static KnownEvent> {
    KNOWN.iter().find(|known| known.name.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(KNOWN.is_sorted_by(|a, b| a.name < b.name));
        assert!(find(b"commandfinish").is_some());
        assert!(find(b"commandfinsh").is_none());
    }
}
