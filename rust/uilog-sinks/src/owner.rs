//! To which local sockets a sink may write.
//!
//! Responsible for one rule: the socket, and the process that listens there,
//! must belong to root, to this user, or to the user that the option `owner`
//! names. In a directory that is open to everybody, another user could create
//! the socket first. Must not know what is sent, or how to connect.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use nix::unistd::User;
use nix::unistd::geteuid;
use uilog_channel::sink_config::SECTION;
use uilog_channel::sink_config::SinkConfig;

/// The user as which the kernel shows users of other containers.
// Linux: DEFAULT_OVERFLOWUID
const OVERFLOW: u32 = 65534;

/// The users that a sink's socket may belong to.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    /// The option's full name.
    option: String,
    /// What the option says.
    named: Option<String>,
    /// The user's number, once it has been looked up.
    found: Arc<OnceLock<u32>>,
}

impl Owner {
    /// Those of this sink.
    pub(crate) fn new(definition: &SinkConfig) -> Self {
        let named = definition.text("owner");
        Self {
            option: format!("{SECTION}.{}:owner", definition.item()),
            named: named.map(|it| String::from_utf8_lossy(&it).into_owned()),
            found: Arc::default(),
        }
    }

    /// Fails if `what` belongs to another user.
    ///
    /// # Errors
    ///
    /// It does, or the owner is not known by the deadline.
    pub(crate) fn check(
        &self,
        what: &str,
        uid: u32,
        deadline: Instant,
    ) -> io::Result<()> {
        if uid == 0 || uid == geteuid().as_raw() {
            return Ok(());
        }
        if let Some(named) = &self.named
            && self.number(named, deadline)? == uid
        {
            return Ok(());
        }
        let option = self.option.replacen('.', "] ", 1);
        let user = TruncatedText(uid);
        Err(denied(format!(
            "{what} belongs to user {user}, neither to root nor to you; to \
             allow that user: [{option} = {uid}"
        )))
    }

    /// The number of the user in the option.
    fn number(&self, named: &str, deadline: Instant) -> io::Result<u32> {
        if let Some(found) = self.found.get() {
            return Ok(*found);
        }
        let found = match named.parse() {
            Ok(number) => number,
            Err(_) => look_up(named, deadline)
                .map_err(|why| denied(format!("{}: {why}", self.option)))?,
        };
        Ok(*self.found.get_or_init(|| found))
    }
}

/// The number of a user. A directory service may need long, and cannot be
/// interrupted: so a thread calls it that may be left behind.
fn look_up(name: &str, deadline: Instant) -> Result<u32, String> {
    let (sender, receiver) = mpsc::channel();
    let owned = name.to_owned();
    thread::Builder::new()
        .name("user".to_owned())
        .spawn(move || {
            // The caller may have stopped waiting.
            let _ = sender.send(User::from_name(&owned));
        })
        .map_err(|error| error.to_string())?;
    let left = deadline.saturating_duration_since(Instant::now());
    match receiver.recv_timeout(left) {
        Ok(Ok(Some(user))) => Ok(user.uid.as_raw()),
        Ok(Ok(None)) => Err(format!("there is no user '{name}'")),
        Ok(Err(errno)) => Err(format!("user '{name}': {}", errno.desc())),
        Err(_) => Err(format!("user '{name}' cannot be looked up in time")),
    }
}

/// A refusal, which is tried again with the next records, but not at once.
fn denied(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

/// A user as messages name one.
struct TruncatedText(u32);

impl fmt::Display for TruncatedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            OVERFLOW => {
                write!(f, "{OVERFLOW} (nobody, or a user of another container)")
            }
            uid => write!(f, "{uid}"),
        }
    }
}
