//! The environment variables of hg that structured sinks need.
//!
//! Responsible for which variables may be stored in a named file, because an
//! environment contains many secrets, and a sink needs few variables. A test of
//! uilog-sinks checks that all variables which it reads are listed here.

use uilog_config::expand::variables_in;
use uilog_event::environment_block::split_environment;

/// Where a user's files are, and how to get to a collector.
const COMMON: [&[u8]; 10] = [
    b"ALL_PROXY",
    b"HOME",
    b"HTTPS_PROXY",
    b"NO_PROXY",
    b"XDG_RUNTIME_DIR",
    b"XDG_STATE_HOME",
    b"all_proxy",
    b"http_proxy",
    b"https_proxy",
    b"no_proxy",
];

/// By what CI systems say which job this is.
const CI: &[&[u8]] = &[
    b"AGENT_ID",
    b"AGENT_NAME",
    b"APPVEYOR",
    b"APPVEYOR_ACCOUNT_NAME",
    b"APPVEYOR_BUILD_ID",
    b"APPVEYOR_JOB_ID",
    b"APPVEYOR_JOB_NAME",
    b"APPVEYOR_PROJECT_NAME",
    b"APPVEYOR_PROJECT_SLUG",
    b"APPVEYOR_URL",
    b"BITBUCKET_BUILD_NUMBER",
    b"BITBUCKET_PIPELINE_UUID",
    b"BITBUCKET_REPO_FULL_NAME",
    b"BITBUCKET_STEP_UUID",
    b"BUILDKITE",
    b"BUILDKITE_AGENT_ID",
    b"BUILDKITE_AGENT_NAME",
    b"BUILDKITE_BUILD_ID",
    b"BUILDKITE_BUILD_URL",
    b"BUILDKITE_JOB_ID",
    b"BUILDKITE_LABEL",
    b"BUILDKITE_PIPELINE_NAME",
    b"BUILD_BUILDID",
    b"BUILD_DEFINITIONNAME",
    b"BUILD_ID",
    b"BUILD_NUMBER",
    b"BUILD_URL",
    b"CI",
    b"CIRCLECI",
    b"CIRCLE_BUILD_URL",
    b"CIRCLE_JOB",
    b"CIRCLE_WORKFLOW_ID",
    b"CIRCLE_WORKFLOW_JOB_ID",
    b"CI_JOB_ID",
    b"CI_JOB_NAME",
    b"CI_JOB_URL",
    b"CI_PIPELINE_ID",
    b"CI_PIPELINE_NAME",
    b"CI_PIPELINE_NUMBER",
    b"CI_PIPELINE_URL",
    b"CI_RUNNER_DESCRIPTION",
    b"CI_RUNNER_ID",
    b"CI_STEP_NAME",
    b"CI_STEP_URL",
    b"CI_WORKFLOW_NAME",
    b"DRONE",
    b"DRONE_BUILD_LINK",
    b"DRONE_BUILD_NUMBER",
    b"DRONE_REPO",
    b"DRONE_STAGE_MACHINE",
    b"DRONE_STEP_NAME",
    b"GITEA_ACTIONS",
    b"GITHUB_ACTIONS",
    b"GITHUB_JOB",
    b"GITHUB_REPOSITORY",
    b"GITHUB_RUN_ID",
    b"GITHUB_SERVER_URL",
    b"GITHUB_WORKFLOW",
    b"GITLAB_CI",
    b"JENKINS_URL",
    b"JOB_NAME",
    b"NODE_NAME",
    b"RUNNER_NAME",
    b"STAGE_NAME",
    b"SYSTEM_COLLECTIONURI",
    b"SYSTEM_JOBDISPLAYNAME",
    b"SYSTEM_JOBID",
    b"SYSTEM_TEAMPROJECTID",
    b"TEAMCITY_BUILDCONF_NAME",
    b"TEAMCITY_VERSION",
    b"TF_BUILD",
    b"TRAVIS",
    b"TRAVIS_BUILD_ID",
    b"TRAVIS_BUILD_WEB_URL",
    b"TRAVIS_JOB_ID",
    b"TRAVIS_JOB_NAME",
    b"TRAVIS_JOB_WEB_URL",
    b"TRAVIS_REPO_SLUG",
];

/// What OpenTelemetry's variables begin with: they count for a sink that asks
/// for them.
const OPENTELEMETRY: &[u8] = b"OTEL_";

/// The part of an environment, a block, that the sinks of these items need.
pub fn needed(environment: &[u8], items: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let named: Vec<_> = named(items).collect();
    let asks_for_opentelemetry = items.iter().any(|(name, value)| {
        let value = value.trim_ascii();
        value.eq_ignore_ascii_case(b"otlp:") || name.ends_with(b":environment")
    });
    let mut block = Vec::new();
    for (name, value) in split_environment(environment) {
        let is_needed = is_listed(name)
            || named.contains(&name)
            || asks_for_opentelemetry && name.starts_with(OPENTELEMETRY);
        if is_needed {
            block.extend_from_slice(name);
            block.push(b'=');
            block.extend_from_slice(value);
            block.push(0);
        }
    }
    block
}

/// Whether every sink may need a variable.
fn is_listed(name: &[u8]) -> bool {
    let first = name.first().map_or(0, |it| usize::from(*it));
    let lengths = LENGTHS.get(first).copied().unwrap_or(0);
    // Most variables are not, and this shows it without a search.
    lengths & length_bit(name) != 0
        && (COMMON.binary_search(&name).is_ok()
            || CI.binary_search(&name).is_ok())
}

/// By the first byte: the lengths of the names in both lists, a bit for each.
static LENGTHS: [u32; 128] = {
    let lists: [&[&[u8]]; 2] = [&COMMON, CI];
    let mut lengths = [0; 128];
    let mut list = 0;
    while list < lists.len() {
        let mut at = 0;
        while at < lists[list].len() {
            let name = lists[list][at];
            lengths[name[0] as usize] |= length_bit(name);
            at += 1;
        }
        list += 1;
    }
    lengths
};

/// Names of 31 bytes and more share a bit.
const fn length_bit(name: &[u8]) -> u32 {
    1 << if name.len() < 31 { name.len() } else { 31 }
}

/// The variables that these items name.
pub fn named(items: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = &[u8]> {
    items.iter().flat_map(|(_, value)| variables_in(value))
}

/// Whether a variable is about a CI system's job, so that it does not affect
/// where a sink sends.
pub fn is_of_ci(name: &[u8]) -> bool {
    CI.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(environment: &str, items: &[(&str, &str)]) -> String {
        let items: Vec<_> = items
            .iter()
            .map(|(name, value)| {
                (name.as_bytes().to_vec(), value.as_bytes().to_vec())
            })
            .collect();
        let block = needed(environment.as_bytes(), &items);
        String::from_utf8(block).unwrap()
    }

    #[test]
    fn names_are_sorted() {
        assert!(COMMON.is_sorted());
        assert!(CI.is_sorted());
    }

    #[test]
    fn each_name_of_the_lists_is_found() {
        for name in COMMON.iter().chain(CI) {
            assert!(is_listed(name), "{name:?}");
        }
        let long = "CI".repeat(40);
        for other in ["", "HOST", "HOMES", "LANG", "\u{e9}=", &long] {
            assert!(!is_listed(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_no_sink_needs_is_left_out() {
        let environment = "HOME=/h\0TOKEN=x\0GITLAB_CI=true\0CI_JOB_TOKEN=x\0\
                           OTEL_EXPORTER_OTLP_HEADERS=k=x\0no_proxy=*\0";
        let common = "HOME=/h\0GITLAB_CI=true\0no_proxy=*\0";
        assert_eq!(part(environment, &[]), common);
        assert_eq!(part(environment, &[("sink.a", "otlp:https://h")]), common);
    }

    #[test]
    fn what_a_sink_names_is_there() {
        let environment = "A=1\0B=2\0C=3\0OTEL_X=4\0";
        let file = [("sink.a", "file:$A/${B}/%Y"), ("sink.a:track", "*")];
        assert_eq!(part(environment, &file), "A=1\0B=2\0");
        assert_eq!(part(environment, &[("sink.a", " OTLP: ")]), "OTEL_X=4\0");
        let asked = [("sink.a", "otlp:http://h"), ("sink.a:environment", "1")];
        assert_eq!(part(environment, &asked), "OTEL_X=4\0");
    }
}
