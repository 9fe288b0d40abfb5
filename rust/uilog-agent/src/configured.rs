//! The sinks of the agent's own configuration: the system's, the user's, and
//! that of a record's repository, under hg's rules of trust.
//!
//! Responsible for reading it in a separate thread, because a repository may be
//! on a file system that does not answer. Must not know how the result is used.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::record_delivery::Items;
use uilog_channel::sink_config;
use uilog_config::Environment;
use uilog_config::Request;
use uilog_config::installation::find_hg;
use uilog_event::environment_block::lookup;

use crate::configuration::Configuration;
use crate::configuration::Configurations;

/// Maximum number of repositories whose configuration is cached.
const MAX_REMEMBERED: usize = 256;
/// How long to wait for a file system.
const ANSWER_BOUND: Duration = Duration::from_secs(10);

type Root = Option<Vec<u8>>;

/// The result of reading.
#[derive(Debug)]
pub(crate) struct Configured {
    /// The agent's own environment, a block.
    environment: Arc<[u8]>,
    answers: HashMap<Root, Answer>,
    thread: Option<Thread>,
    /// When the last answer came, or the first question after it.
    waits_since: Instant,
    bell: Arc<UnixStream>,
}

#[derive(Debug)]
enum Answer {
    Asked,
    /// None if it cannot be read.
    Known(Option<Arc<Configuration>>),
}

#[derive(Debug)]
struct Thread {
    roots: Sender<Root>,
    read: Receiver<(Root, Option<Arc<Items>>)>,
}

impl Configured {
    pub(crate) fn new(environment: Arc<[u8]>, bell: Arc<UnixStream>) -> Self {
        Self {
            environment,
            answers: HashMap::new(),
            thread: None,
            waits_since: Instant::now(),
            bell,
        }
    }

    /// The sinks that are configured here for the repository with this root.
    /// None while that is being read; the socket then wakes the loop.
    pub(crate) fn of(
        &mut self,
        root: Option<&[u8]>,
        all: &mut Configurations,
    ) -> Option<Option<Arc<Configuration>>> {
        self.receive_results(all);
        let root = root.map(<[u8]>::to_vec);
        match self.answers.get(&root) {
            Some(Answer::Known(configuration)) => Some(configuration.clone()),
            Some(Answer::Asked) => None,
            None => {
                if self.answers.len() >= MAX_REMEMBERED {
                    let is_asked =
                        |_: &Root, it: &mut Answer| matches!(it, Answer::Asked);
                    self.answers.retain(is_asked);
                }
                if self.answers.len() >= MAX_REMEMBERED {
                    return None;
                }
                if !self.ask(root.clone()) {
                    // Without a thread nothing is known.
                    return Some(None);
                }
                if !self.is_asking() {
                    self.waits_since = Instant::now();
                }
                self.answers.insert(root, Answer::Asked);
                None
            }
        }
    }

    fn receive_results(&mut self, all: &mut Configurations) {
        let Some(thread) = &self.thread else {
            return;
        };
        while let Ok((root, items)) = thread.read.try_recv() {
            let configuration =
                items.map(|items| all.of(&items, &self.environment));
            self.answers.insert(root, Answer::Known(configuration));
            self.waits_since = Instant::now();
        }
    }

    fn is_asking(&self) -> bool {
        let mut answers = self.answers.values();
        answers.any(|it| matches!(it, Answer::Asked))
    }

    /// Until when it is worth to wait for an answer, if one is to come.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.is_asking().then(|| self.waits_since + ANSWER_BOUND)
    }

    fn ask(&mut self, root: Root) -> bool {
        if self.thread.is_none() {
            self.thread = self.start();
        }
        let thread = self.thread.as_ref();
        thread.is_some_and(|thread| thread.roots.send(root).is_ok())
    }

    fn start(&self) -> Option<Thread> {
        let (roots, asked) = mpsc::channel::<Root>();
        let (answer, read) = mpsc::channel();
        let environment = Arc::clone(&self.environment);
        let bell = Arc::clone(&self.bell);
        let body = move || {
            for root in asked {
                let items = read_items(root.as_deref(), &environment);
                if answer.send((root, items)).is_err() {
                    return;
                }
                // A full socket means that there is enough to wake up from.
                let _ = (&*bell).write(b"!");
            }
        };
        let thread = std::thread::Builder::new().name("configured".to_owned());
        thread.spawn(body).ok()?;
        Some(Thread { roots, read })
    }
}

/// What `[uilog]` says here of sinks, as far as it is trusted.
fn read_items(root: Option<&[u8]>, environment: &[u8]) -> Option<Arc<Items>> {
    let entries = environment.split(|byte| *byte == 0);
    let names = entries.filter_map(|it| it.split(|b| *b == b'=').next());
    let variables = names.filter_map(|name| {
        Some((name.to_vec(), lookup(environment, name)?.to_vec()))
    });
    let environment = Environment::new(variables.collect(), "/".into());
    let hg = find_hg(&environment);
    let environment = environment.with_hg(hg);
    let is_absolute =
        |root: &&[u8]| Path::new(OsStr::from_bytes(root)).is_absolute();
    let request = Request {
        repository: root.filter(is_absolute).map(<[u8]>::to_vec),
        ..Request::default()
    };
    let loaded = uilog_config::load(&request, &environment)
        // If the repository no longer exists, the user's configuration is used.
        .or_else(|_| uilog_config::load(&Request::default(), &environment))
        .ok()?;
    Some(sink_config::items_of(&loaded.trusted).into())
}
