//! The CI pipeline and run that hg belongs to, from environment variables that
//! CI systems set.
//!
//! One table has all facts about the systems. Must not know sinks or redaction.

use uilog_event::environment_block::lookup;

use crate::repository;

/// Bytes of a value at most.
const MAX_BYTES: usize = 1024;

/// A CI system: how it is recognized, and how its variables are used. `{NAME}`
/// in a text is the variable's value; if one is missing or empty, the field is
/// missing.
struct System {
    /// A variable that no other program sets, and its value if any will not
    /// do.
    marker: (&'static str, Option<&'static str>),
    /// The texts; an empty one if the system has no variable for it.
    texts: Run<&'static str>,
    /// The page or file that documents its variables, as of the time of
    /// reading. Undocumented ones are mentioned.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers"))]
    source: &'static str,
}

/// Facts about a run of a pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run<T> {
    pub(crate) pipeline: T,
    pub(crate) run: T,
    pub(crate) run_url: T,
    pub(crate) task: T,
    pub(crate) task_run: T,
    pub(crate) task_run_url: T,
    pub(crate) worker: T,
    pub(crate) worker_name: T,
}

/// The first one whose marker is set counts.
const SYSTEMS: &[System] = &[
    System {
        // Gitea also sets GitHub's variables, and has other addresses.
        // Forgejo's runner, which is derived from Gitea's, sets this one, too.
        marker: ("GITEA_ACTIONS", Some("true")),
        texts: Run {
            pipeline: "{GITHUB_WORKFLOW}",
            run: "{GITHUB_RUN_ID}",
            run_url: "",
            task: "{GITHUB_JOB}",
            task_run: "",
            task_run_url: "",
            worker: "",
            worker_name: "{RUNNER_NAME}",
        },
        source: "https://github.com/project-mirrors/gitea-act-runner/blob/\
                 07ca4bfa7f5a/internal/app/run/runner.go",
    },
    System {
        marker: ("GITHUB_ACTIONS", Some("true")),
        texts: Run {
            pipeline: "{GITHUB_WORKFLOW}",
            run: "{GITHUB_RUN_ID}",
            run_url: "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/\
                      {GITHUB_RUN_ID}",
            task: "{GITHUB_JOB}",
            task_run: "",
            task_run_url: "",
            worker: "",
            worker_name: "{RUNNER_NAME}",
        },
        source: "https://github.com/github/docs/blob/159bd1b02c04/content/\
                 actions/reference/workflows-and-actions/variables.md",
    },
    System {
        marker: ("GITLAB_CI", Some("true")),
        texts: Run {
            pipeline: "{CI_PIPELINE_NAME}",
            run: "{CI_PIPELINE_ID}",
            run_url: "{CI_PIPELINE_URL}",
            task: "{CI_JOB_NAME}",
            task_run: "{CI_JOB_ID}",
            task_run_url: "{CI_JOB_URL}",
            worker: "{CI_RUNNER_ID}",
            worker_name: "{CI_RUNNER_DESCRIPTION}",
        },
        source: "https://github.com/gitlabhq/gitlabhq/blob/00a46ce6b45b/doc/\
                 ci/variables/predefined_variables.md",
    },
    System {
        marker: ("BUILDKITE", Some("true")),
        texts: Run {
            pipeline: "{BUILDKITE_PIPELINE_NAME}",
            run: "{BUILDKITE_BUILD_ID}",
            run_url: "{BUILDKITE_BUILD_URL}",
            task: "{BUILDKITE_LABEL}",
            task_run: "{BUILDKITE_JOB_ID}",
            task_run_url: "",
            worker: "{BUILDKITE_AGENT_ID}",
            worker_name: "{BUILDKITE_AGENT_NAME}",
        },
        source: "https://github.com/buildkite/docs/blob/00d09180e445/data/\
                 content/environment_variables.yaml",
    },
    System {
        marker: ("CIRCLECI", Some("true")),
        texts: Run {
            pipeline: "",
            run: "{CIRCLE_WORKFLOW_ID}",
            run_url: "",
            task: "{CIRCLE_JOB}",
            task_run: "{CIRCLE_WORKFLOW_JOB_ID}",
            task_run_url: "{CIRCLE_BUILD_URL}",
            worker: "",
            worker_name: "",
        },
        source: "https://circleci.com/docs/reference/variables/",
    },
    System {
        marker: ("TF_BUILD", Some("True")),
        texts: Run {
            pipeline: "{BUILD_DEFINITIONNAME}",
            run: "{BUILD_BUILDID}",
            // The address ends with a slash. What follows the project is
            // known from use.
            run_url: "{SYSTEM_COLLECTIONURI}{SYSTEM_TEAMPROJECTID}/_build/\
                      results?buildId={BUILD_BUILDID}",
            task: "{SYSTEM_JOBDISPLAYNAME}",
            task_run: "{SYSTEM_JOBID}",
            task_run_url: "",
            worker: "{AGENT_ID}",
            worker_name: "{AGENT_NAME}",
        },
        source: "https://github.com/MicrosoftDocs/azure-devops-docs/blob/\
                 08132ed662ce/docs/pipelines/build/includes/variables-\
                 hosted.md",
    },
    System {
        marker: ("TEAMCITY_VERSION", None),
        texts: Run {
            pipeline: "{TEAMCITY_BUILDCONF_NAME}",
            // The unique number is a parameter without a variable.
            run: "{BUILD_NUMBER}",
            run_url: "{BUILD_URL}",
            task: "",
            task_run: "",
            task_run_url: "",
            worker: "",
            worker_name: "",
        },
        source: "https://jetbrains.com/help/teamcity/cloud/2023.09/\
                 predefined-build-parameters.html",
    },
    System {
        marker: ("TRAVIS", Some("true")),
        texts: Run {
            pipeline: "{TRAVIS_REPO_SLUG}",
            run: "{TRAVIS_BUILD_ID}",
            run_url: "{TRAVIS_BUILD_WEB_URL}",
            task: "{TRAVIS_JOB_NAME}",
            task_run: "{TRAVIS_JOB_ID}",
            task_run_url: "{TRAVIS_JOB_WEB_URL}",
            worker: "",
            worker_name: "",
        },
        source: "https://github.com/travis-ci/docs-travis-ci-com/blob/\
                 6f00aea4a19f/user/environment-variables.md",
    },
    System {
        marker: ("BITBUCKET_BUILD_NUMBER", None),
        texts: Run {
            pipeline: "{BITBUCKET_REPO_FULL_NAME}",
            // These two also in the crate nerdbank_gitversioning,
            // cloud_build_services/bitbucket_cloud.rs.
            run: "{BITBUCKET_PIPELINE_UUID}",
            run_url: "",
            task: "",
            task_run: "{BITBUCKET_STEP_UUID}",
            task_run_url: "",
            worker: "",
            worker_name: "",
        },
        source: "https://support.atlassian.com/bitbucket-cloud/docs/\
                 variables-and-secrets",
    },
    System {
        marker: ("APPVEYOR", Some("True")),
        texts: Run {
            pipeline: "{APPVEYOR_PROJECT_NAME}",
            run: "{APPVEYOR_BUILD_ID}",
            // From `/project` on known from use.
            run_url: "{APPVEYOR_URL}/project/{APPVEYOR_ACCOUNT_NAME}/\
                      {APPVEYOR_PROJECT_SLUG}/builds/{APPVEYOR_BUILD_ID}",
            task: "{APPVEYOR_JOB_NAME}",
            task_run: "{APPVEYOR_JOB_ID}",
            task_run_url: "",
            worker: "",
            worker_name: "",
        },
        source: "https://github.com/appveyor/website/blob/214848f0883a/src/\
                 docs/environment-variables.md",
    },
    System {
        marker: ("DRONE", Some("true")),
        texts: Run {
            pipeline: "{DRONE_REPO}",
            run: "{DRONE_BUILD_NUMBER}",
            run_url: "{DRONE_BUILD_LINK}",
            task: "{DRONE_STEP_NAME}",
            task_run: "",
            task_run_url: "",
            worker: "",
            worker_name: "{DRONE_STAGE_MACHINE}",
        },
        source: "https://github.com/drone/runner-go/blob/102fd9ab4f31/\
                 environ/environ.go",
    },
    System {
        marker: ("CI", Some("woodpecker")),
        texts: Run {
            pipeline: "{CI_WORKFLOW_NAME}",
            run: "{CI_PIPELINE_NUMBER}",
            run_url: "{CI_PIPELINE_URL}",
            task: "{CI_STEP_NAME}",
            task_run: "",
            task_run_url: "{CI_STEP_URL}",
            worker: "",
            worker_name: "",
        },
        source: "https://github.com/woodpecker-ci/woodpecker/blob/\
                 01bc8073d661/docs/docs/20-usage/50-environment.md",
    },
    System {
        marker: ("JENKINS_URL", None),
        texts: Run {
            pipeline: "{JOB_NAME}",
            run: "{BUILD_ID}",
            run_url: "{BUILD_URL}",
            // Of the plugin pipeline-stage-step: StageStepExecution.java.
            task: "{STAGE_NAME}",
            task_run: "",
            task_run_url: "",
            worker: "",
            worker_name: "{NODE_NAME}",
        },
        source: "https://github.com/jenkinsci/jenkins/blob/056552b2215c/core/\
                 src/main/resources/jenkins/model/CoreEnvironmentContributor/\
                 buildEnv.properties",
    },
];

/// The run that a process with this environment is a part of.
pub(crate) fn run(environment: &[u8]) -> Option<Run<Option<String>>> {
    let value = |name: &str| {
        let value = lookup(environment, name.as_bytes())?;
        let value = std::str::from_utf8(value).ok()?.trim();
        let is_good = (1..=MAX_BYTES).contains(&value.len())
            && !value.contains(char::is_control);
        is_good.then_some(value)
    };
    let system = SYSTEMS.iter().find(|it| {
        let (name, expected) = it.marker;
        value(name).is_some_and(|it| {
            expected.is_none_or(|expected| it.eq_ignore_ascii_case(expected))
        })
    })?;
    let told = |text: &str| expand(text, value);
    let url = |text: &str| {
        let url = told(text)?;
        let query = url.find('?').map_or("", |at| &url[at..]);
        // The query is of our own making, or the system's: numbers.
        let query = query.split('#').next().unwrap_or_default();
        let plain = repository::plain_url(url.as_bytes())?;
        plain.starts_with("http").then(|| plain + query)
    };
    let texts = &system.texts;
    let run = Run {
        pipeline: told(texts.pipeline),
        run: told(texts.run),
        run_url: url(texts.run_url),
        task: told(texts.task),
        task_run: told(texts.task_run),
        task_run_url: url(texts.task_run_url),
        worker: told(texts.worker),
        worker_name: told(texts.worker_name),
    };
    (run != Run::default()).then_some(run)
}

/// The text with the values of its variables; none if one is not there.
fn expand<'v>(
    text: &str,
    value: impl Fn(&str) -> Option<&'v str>,
) -> Option<String> {
    let mut told = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        told.push_str(before);
        told.push_str(value(name)?);
        rest = after;
    }
    told.push_str(rest);
    (!told.is_empty()).then_some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of a system.
    fn all_of(texts: &Run<&'static str>) -> [&'static str; 8] {
        [
            texts.pipeline,
            texts.run,
            texts.run_url,
            texts.task,
            texts.task_run,
            texts.task_run_url,
            texts.worker,
            texts.worker_name,
        ]
    }

    #[test]
    fn every_variable_is_handed_over_by_hg() {
        for System { marker, texts, .. } in SYSTEMS {
            let asked = std::cell::RefCell::new(vec![marker.0.to_owned()]);
            let value = |name: &str| {
                asked.borrow_mut().push(name.to_owned());
                Some("x")
            };
            for text in all_of(texts) {
                expand(text, value);
            }
            for name in asked.into_inner() {
                let is_known =
                    uilog_channel::sink_environment::is_of_ci(name.as_bytes());
                assert!(is_known, "sink_environment.rs lacks {name}");
            }
        }
    }

    fn block(variables: &[(&str, &str)]) -> Vec<u8> {
        let all = variables.iter().map(|(n, v)| format!("{n}={v}\0"));
        all.collect::<String>().into_bytes()
    }

    fn told(variables: &[(&str, &str)]) -> Option<Run<Option<String>>> {
        run(&block(variables))
    }

    #[test]
    fn a_run_is_told_as_its_system_tells_it() {
        let github = [
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_WORKFLOW", "Build and Test"),
            ("GITHUB_RUN_ID", "9753949763"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "a/b"),
            ("GITHUB_JOB", "lint"),
            ("RUNNER_NAME", "runner 1"),
            ("GITHUB_TOKEN", "ghs_notThis"),
        ];
        let text = |it: &str| Some(it.to_owned());
        let run = told(&github).unwrap();
        assert_eq!(
            run,
            Run {
                pipeline: text("Build and Test"),
                run: text("9753949763"),
                run_url: text("https://github.com/a/b/actions/runs/9753949763"),
                task: text("lint"),
                worker_name: text("runner 1"),
                ..Run::default()
            }
        );
        let azure = told(&[
            ("TF_BUILD", "True"),
            ("BUILD_BUILDID", "17"),
            ("SYSTEM_COLLECTIONURI", "https://joe:pw@dev.azure.com/o/"),
            ("SYSTEM_TEAMPROJECTID", "p"),
        ]);
        let url = "https://dev.azure.com/o/p/_build/results?buildId=17";
        assert_eq!(azure.unwrap().run_url.as_deref(), Some(url));
        let gitea = [&[("GITEA_ACTIONS", "true")], &github[..]].concat();
        assert_eq!(told(&gitea).unwrap().run_url, None);
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[("CI", "true"), ("BUILD_ID", "1")]), None);
        assert_eq!(told(&[("GITHUB_ACTIONS", "true")]), None);
        assert_eq!(
            told(&[("GITHUB_ACTIONS", "no"), ("GITHUB_JOB", "a")]),
            None
        );
        let jenkins = told(&[
            ("JENKINS_URL", "https://j/"),
            ("BUILD_ID", "7"),
            ("JOB_NAME", ""),
            ("BUILD_URL", "file:///etc"),
            ("NODE_NAME", "a\nb"),
        ]);
        let expected = Run {
            run: Some("7".to_owned()),
            ..Run::default()
        };
        assert_eq!(jenkins, Some(expected));
    }

    /// Each system is recognized, and each text of it can be told.
    #[test]
    fn each_text_of_the_table_makes_sense() {
        for system in SYSTEMS {
            assert!(system.source.starts_with("https://"));
            let texts = &system.texts;
            let all = all_of(texts);
            let names = all.iter().flat_map(|text| {
                text.split('{')
                    .skip(1)
                    .map(|it| it.split_once('}').unwrap().0)
            });
            let mut variables: Vec<_> = names
                .map(|name| {
                    let is_url = ["URL", "URI", "LINK"]
                        .iter()
                        .any(|it| name.ends_with(it));
                    (name, if is_url { "https://h/" } else { "v" })
                })
                .collect();
            let (name, value) = system.marker;
            variables.insert(0, (name, value.unwrap_or("https://h/")));
            let run = told(&variables).unwrap();
            let told = [
                run.pipeline,
                run.run,
                run.run_url,
                run.task,
                run.task_run,
                run.task_run_url,
                run.worker,
                run.worker_name,
            ];
            for (text, told) in all.iter().zip(told) {
                assert_eq!(text.is_empty(), told.is_none(), "{text}");
            }
        }
    }
}
