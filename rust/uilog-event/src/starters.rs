//! Who runs hg: a CI job, an editor or a coding agent, by the variables that
//! they set for their child processes; else a person, if there is a terminal.
//!
//! This table has all facts about them, each with its source. Nothing is
//! guessed: variables that people set themselves, such as `CI`, or that an
//! editor sets in its terminals, where people work, are not used. uilog-sinks
//! knows the run of a pipeline.

use crate::environment_block::lookup;

/// The program that has started hg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Starter {
    /// `agent`, `ci`, `editor` or `person`.
    pub kind: &'static str,
    /// Its name; a person has none here.
    pub name: Option<&'static str>,
}

/// How hg is connected to a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Standard input, output or error is one.
    pub is_used: bool,
    /// The process has one that it could open.
    pub is_there: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Activity {
    Agent,
    Ci,
    Editor,
}

struct KnownStarter {
    kind: Activity,
    name: &'static str,
    /// A variable that no other program sets, and its value if any will not do.
    marker: (&'static str, Option<&'static str>),
    /// Where that is published.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers"))]
    source: &'static str,
}

const fn known(
    kind: Activity,
    name: &'static str,
    marker: (&'static str, Option<&'static str>),
    source: &'static str,
) -> KnownStarter {
    KnownStarter {
        kind,
        name,
        marker,
        source,
    }
}

use Activity::Agent;
use Activity::Ci;
use Activity::Editor;

const UILOG_CI: &str = "rust/uilog-sinks/src/ci.rs, with the page of each";

/// The first one whose marker is set counts.
#[rustfmt::skip]
const KNOWN: &[KnownStarter] = &[
    known(Agent, "claude-code", ("CLAUDECODE", Some("1")),
        "https://code.claude.com/docs/en/env-vars"),
    known(Agent, "gemini-cli", ("GEMINI_CLI", Some("1")),
        "https://github.com/google-gemini/gemini-cli/blob/1a722c50b912/docs/\
         tools/shell.md"),
    known(Agent, "codex", ("CODEX_SANDBOX_NETWORK_DISABLED", Some("1")),
        "https://github.com/openai/codex/blob/020f0e2fb842/AGENTS.md"),
    known(Agent, "codex", ("CODEX_SANDBOX", Some("seatbelt")),
        "https://github.com/openai/codex/blob/020f0e2fb842/AGENTS.md"),
    known(Agent, "cursor", ("CURSOR_AGENT", Some("1")),
        "https://forum.cursor.com/t/151935, an answer of the vendor's; \
         https://github.com/vercel/vercel/blob/00e6bb7f91ba/packages/\
         detect-agent/src/index.ts"),
    known(Ci, "gitea", ("GITEA_ACTIONS", Some("true")), UILOG_CI),
    known(Ci, "github", ("GITHUB_ACTIONS", Some("true")), UILOG_CI),
    known(Ci, "gitlab", ("GITLAB_CI", Some("true")), UILOG_CI),
    known(Ci, "buildkite", ("BUILDKITE", Some("true")), UILOG_CI),
    known(Ci, "circleci", ("CIRCLECI", Some("true")), UILOG_CI),
    known(Ci, "azure-pipelines", ("TF_BUILD", Some("True")), UILOG_CI),
    known(Ci, "teamcity", ("TEAMCITY_VERSION", None), UILOG_CI),
    known(Ci, "travis", ("TRAVIS", Some("true")), UILOG_CI),
    known(Ci, "bitbucket", ("BITBUCKET_BUILD_NUMBER", None), UILOG_CI),
    known(Ci, "appveyor", ("APPVEYOR", Some("True")), UILOG_CI),
    known(Ci, "drone", ("DRONE", Some("true")), UILOG_CI),
    known(Ci, "woodpecker", ("CI", Some("woodpecker")), UILOG_CI),
    // People who run Jenkins set JENKINS_HOME and JENKINS_URL in their shells.
    known(Ci, "jenkins", ("JENKINS_SERVER_COOKIE", None),
        "https://github.com/jenkinsci/jenkins/blob/master/core/src/main/java/\
         hudson/model/Job.java, getCharacteristicEnvVars"),
    // Set in the editor's terminals, too: those have a terminal.
    known(Editor, "emacs", ("INSIDE_EMACS", None),
        "https://www.gnu.org/software/emacs/manual/html_node/emacs/\
         Interactive-Shell.html; lisp/progmodes/compile.el of its sources"),
    known(Editor, "neovim", ("NVIM", None),
        "https://neovim.io/doc/user/builtin.html, jobstart-env; \
         https://github.com/neovim/neovim/pull/18986"),
];

/// The program that has started a process with this environment, a block;
/// `None` if that is unknown.
pub fn of(environment: &[u8], terminal: Terminal) -> Option<Starter> {
    let has = |(name, value): (&str, Option<&str>)| {
        let text = lookup(environment, name.as_bytes());
        text.is_some_and(|text| match value {
            Some(value) => text.eq_ignore_ascii_case(value.as_bytes()),
            None => !text.is_empty(),
        })
    };
    let is_it = |it: &&KnownStarter| {
        has(it.marker) && (it.kind != Editor || !terminal.is_there)
    };
    if let Some(known) = KNOWN.iter().find(is_it) {
        return Some(Starter {
            kind: match known.kind {
                Agent => "agent",
                Ci => "ci",
                Editor => "editor",
            },
            name: Some(known.name),
        });
    }
    let person = Starter {
        kind: "person",
        name: None,
    };
    terminal.is_used.then_some(person)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Terminal = Terminal {
        is_used: true,
        is_there: true,
    };
    /// Of a person's command whose streams lead elsewhere.
    const REDIRECTED: Terminal = Terminal {
        is_used: false,
        is_there: true,
    };

    fn block(variables: &[String]) -> Vec<u8> {
        variables
            .iter()
            .flat_map(|it| [it.as_bytes(), b"\0"].concat())
            .collect()
    }

    #[test]
    fn each_is_recognized_and_has_a_source() {
        for known in KNOWN {
            let (name, value) = known.marker;
            let value = value.unwrap_or("4711");
            let variables = block(&[format!("{name}={value}")]);
            let found = of(&variables, Terminal::default()).unwrap();
            assert_eq!(found.name, Some(known.name));
            assert!(!known.source.is_empty());
            let empty = block(&[format!("{name}=")]);
            assert_eq!(of(&empty, Terminal::default()), None, "{name}");
        }
    }

    /// What people have in their environments, in a hundred combinations.
    #[test]
    fn people_are_taken_for_nobody_else() {
        let terminals: [&[&str]; 10] = [
            &["TERM=xterm-256color", "COLORTERM=truecolor"],
            &["TERM_PROGRAM=vscode", "VSCODE_GIT_IPC_HANDLE=/run/x.sock"],
            &["TERM_PROGRAM=vscode", "CURSOR_TRACE_ID=0123456789abcdef"],
            &["INSIDE_EMACS=29.1,comint", "TERM=dumb"],
            &["INSIDE_EMACS=29.1,vterm", "EMACS=t"],
            &["NVIM=/run/user/1000/nvim.1.0", "TERM=xterm"],
            &["VIM=/usr/share/vim", "VIM_TERMINAL=900"],
            &["TERMINAL_EMULATOR=JetBrains-JediTerm"],
            &["TMUX=/tmp/tmux-1000/default,1,0", "TERM=screen"],
            &[
                "SSH_CONNECTION=192.0.2.7 1 192.0.2.1 22",
                "SSH_TTY=/dev/pts/1",
            ],
        ];
        let habits: [&[&str]; 10] = [
            &["EDITOR=nvim", "VISUAL=emacs -nw"],
            &["CI=1"],
            &["CI=true", "GITHUB_TOKEN=x"],
            &["CI=false", "GITLAB_CI=false", "TRAVIS="],
            &["ANTHROPIC_API_KEY=x", "CLAUDE_CONFIG_DIR=/home/joe/.c"],
            &["GEMINI_API_KEY=x", "GEMINI_CLI_HOME=/home/joe/.gemini"],
            &["OPENAI_API_KEY=x", "CODEX_HOME=/home/joe/.codex"],
            &["JENKINS_URL=https://ci.example", "JENKINS_HOME=/srv/j"],
            &["AIDER_MODEL=x", "AI_AGENT=", "CLAUDECODE=0"],
            &["HGEDITOR=code --wait", "HGPLAIN=1", "BUILDKITE=false"],
        ];
        let mut looked_at = 0;
        for terminal in terminals {
            for habit in habits {
                let variables: Vec<_> = ["USER=joe", "SHELL=/bin/bash"]
                    .iter()
                    .chain(terminal)
                    .chain(habit)
                    .map(|it| (*it).to_owned())
                    .collect();
                let block = block(&variables);
                let found = of(&block, TERMINAL).map(|it| it.kind);
                assert_eq!(found, Some("person"), "{variables:?}");
                assert_eq!(of(&block, REDIRECTED), None, "{variables:?}");
                looked_at += 1;
            }
        }
        assert_eq!(looked_at, 100);
    }

    #[test]
    fn an_editor_works_where_there_is_no_terminal() {
        let variables = block(&["INSIDE_EMACS=29.1,compile".to_owned()]);
        let found = of(&variables, Terminal::default()).unwrap();
        assert_eq!((found.kind, found.name), ("editor", Some("emacs")));
        assert_eq!(of(&variables, REDIRECTED), None);
    }
}
