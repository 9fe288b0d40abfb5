//! A queue of records, as an hg process has it.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;

use nix::sys::socket::AddressFamily;
use nix::sys::socket::ControlMessage;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::UnixAddr;
use nix::sys::socket::sendmsg;
use nix::sys::socket::socket;
use uilog_channel::agent_address;
use uilog_channel::agent_address::AgentNames;
use uilog_channel::queue::Origin;
use uilog_channel::queue::Progress;
use uilog_channel::queue::Writer;
use uilog_channel::queue::begin_frame;
use uilog_channel::queue::end_frame;
use uilog_channel::queue::lay_out_for_records;
use uilog_channel::wire::Frame;
use uilog_channel::wire::Open;
use uilog_channel::wire::PROTOCOL;
use uilog_channel::wire::RecordFrame;
use uilog_event::event::Event;
use uilog_event::event::EventOption;
use uilog_event::event::SessionId;
use uilog_event::event::Text;
use uilog_event::event::Timestamp;
use uilog_event::event::Value;
use uilog_sys::living_file;
use uilog_sys::own_dir::OwnDir;

use crate::support::OLDER;
use crate::support::TestPlace;
use crate::support::namespaces;
use crate::support::until;

/// A queue of records, as an hg process has it.
pub(crate) struct Queue {
    pub(crate) writer: Writer,
    pub(crate) name: OsString,
    run: PathBuf,
    environment: Vec<u8>,
    items: Vec<(Vec<u8>, Vec<u8>)>,
    sent: Option<(u64, u64)>,
    session: SessionId,
    pub(crate) seq: u64,
    /// What the clock says, if it is not right.
    pub(crate) clock: Option<Timestamp>,
    protocol: u16,
    client: OwnedFd,
}

/// Who makes a queue here.
pub(crate) fn origin() -> Origin {
    Origin {
        pid: std::process::id(),
        namespaces: agent_address::namespaces().unwrap(),
        ..Origin::default()
    }
}

impl Queue {
    /// One whose records go to these sinks.
    pub(crate) fn new(place: &TestPlace, sinks: &[(&str, &str)]) -> Self {
        Self::in_dir(&place.run(), &place.environment(), sinks)
    }

    pub(crate) fn in_dir(
        run: &Path,
        environment: &str,
        sinks: &[(&str, &str)],
    ) -> Self {
        Self::made_by(run, environment, sinks, &origin())
    }

    pub(crate) fn made_by(
        run: &Path,
        environment: &str,
        sinks: &[(&str, &str)],
        origin: &Origin,
    ) -> Self {
        const MAX_BYTES: u64 = 64 << 20;
        static LAST: std::sync::atomic::AtomicU64 =
            std::sync::atomic::AtomicU64::new(1);
        let number = LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let session = u64::from(std::process::id()) << 32 | number;
        let name = OsString::from(format!("records-{PROTOCOL}-{session:x}"));
        let dir = OwnDir::beside_users_file(run).unwrap();
        let file = living_file::create(&dir, &name, |file| {
            lay_out_for_records(file, MAX_BYTES, origin)
        });
        let client = socket(
            AddressFamily::Unix,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            None,
        );
        let mut queue = Self {
            writer: Writer::over(file.unwrap(), MAX_BYTES),
            name,
            run: run.to_owned(),
            environment: environment.as_bytes().to_vec(),
            items: Vec::new(),
            sent: None,
            session: SessionId(session.into()),
            seq: 0,
            clock: None,
            protocol: PROTOCOL,
            client: client.unwrap(),
        };
        queue.configure(sinks);
        queue
    }

    /// One that a process of the version before has made.
    pub(crate) fn older(place: &TestPlace, sinks: &[(&str, &str)]) -> Self {
        let mut queue = Self::new(place, sinks);
        queue.protocol = OLDER;
        queue.file().write_all_at(&OLDER.to_le_bytes(), 6).unwrap();
        let name = queue.name.clone().into_string().unwrap();
        let own = format!("records-{PROTOCOL}-");
        let older = name.replace(&own, &format!("records-{OLDER}-"));
        let run = place.run();
        fs::rename(run.join(&name), run.join(&older)).unwrap();
        queue.name = older.into();
        queue
    }

    /// From now on these are the sinks.
    pub(crate) fn configure(&mut self, sinks: &[(&str, &str)]) {
        let item = |(name, value): &(&str, &str)| {
            let name = match *name {
                "agent-idle" => name.as_bytes().to_vec(),
                name => format!("sink.{name}").into_bytes(),
            };
            (name, value.as_bytes().to_vec())
        };
        self.items = sinks.iter().map(item).collect();
        self.sent = None;
    }

    /// Appends an event; its id.
    pub(crate) fn log(&mut self, event: &str) -> String {
        self.log_message(event, b"m\n")
    }

    pub(crate) fn log_message(&mut self, event: &str, text: &[u8]) -> String {
        self.log_event(Event {
            message: Cow::Borrowed(text),
            ..Event::bare(event.as_bytes())
        })
    }

    /// The end of a command.
    pub(crate) fn log_end(&mut self, command: &str, exit_code: i64) -> String {
        let option = |key: &'static [u8], value| EventOption {
            key: Cow::Borrowed(key),
            value,
        };
        let name = Text(Cow::Borrowed(command.as_bytes()));
        let digits = exit_code.to_string().into_bytes();
        self.log_event(Event {
            duration: Some(0.02),
            options: vec![
                option(b"canonical_command", Value::Bytes(name)),
                option(b"return_code", Value::Int(Text(Cow::Owned(digits)))),
            ],
            ..Event::bare(b"commandfinish")
        })
    }

    fn log_event(&mut self, event: Event<'_>) -> String {
        self.seq += 1;
        let mut bytes = Vec::new();
        let record = self.record(event, self.seq, &mut bytes);
        add(&mut bytes, &Frame::Record(record));
        self.writer.append(&bytes, 1).unwrap();
        self.id(self.seq)
    }

    /// Appends the beginning of a command.
    pub(crate) fn begin(&mut self) {
        let mut bytes = Vec::new();
        let lost = Event {
            message: Cow::Borrowed(b"pull\n"),
            ..Event::bare(b"commandlost")
        };
        let record = self.record(lost, 7000, &mut bytes);
        let at = self.writer.committed().end + bytes.len() as u64;
        let open = Open {
            has_ended: false,
            outer: self.writer.open_word(),
            began: uilog_sys::clock::monotonic_micros(),
            record,
        };
        add(&mut bytes, &Frame::Open(open));
        self.writer.append_beginning(&bytes, at, 1).unwrap();
    }

    /// A record, and in `bytes` what must stand before it.
    fn record<'r>(
        &mut self,
        event: Event<'r>,
        seq: u64,
        bytes: &mut Vec<u8>,
    ) -> RecordFrame<'r> {
        let begin = self.writer.committed().end;
        let (environment_at, items_at) = self.sent.unwrap_or_else(|| {
            let block = Text(Cow::Borrowed(&self.environment));
            add(bytes, &Frame::Environment(block));
            let items_at = begin + bytes.len() as u64;
            let text = |it: &[u8]| Text(Cow::Owned(it.to_vec()));
            let items = self.items.iter();
            let items = items.map(|(name, value)| (text(name), text(value)));
            add(bytes, &Frame::Items(items.collect()));
            (begin, items_at)
        });
        self.sent = Some((environment_at, items_at));
        RecordFrame {
            environment_at,
            items_at,
            ..RecordFrame::bare(Event {
                session: self.session,
                seq,
                time: self.clock.unwrap_or_else(Timestamp::now),
                ..event
            })
        }
    }

    pub(crate) fn id(&self, seq: u64) -> String {
        format!("{}-{seq}", self.session)
    }

    /// The ids of all that have been logged.
    pub(crate) fn all_ids(&self) -> Vec<String> {
        (1..=self.seq).map(|seq| self.id(seq)).collect()
    }

    /// Tells the agent to look into the queue; false if there is none.
    pub(crate) fn ring(&self) -> bool {
        let names = AgentNames::of(self.protocol, &namespaces());
        let path = self.run.join(names.socket);
        let address = UnixAddr::new(&path).unwrap();
        let evidence = agent_address::evidence().unwrap();
        let rights = [evidence.as_raw_fd()];
        let sent = sendmsg(
            self.client.as_raw_fd(),
            &[IoSlice::new(self.name.as_bytes())],
            &[ControlMessage::ScmRights(&rights)],
            MsgFlags::MSG_DONTWAIT,
            Some(&address),
        );
        use nix::errno::Errno;
        !matches!(
            sent,
            Err(Errno::ECONNREFUSED | Errno::ENOENT | Errno::EPIPE)
        )
    }

    pub(crate) fn progress(&self) -> Progress {
        self.writer.progress().unwrap()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.run.join(&self.name)
    }

    pub(crate) fn file(&self) -> File {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).open(self.path()).unwrap()
    }

    /// Waits until nobody needs any of its records.
    pub(crate) fn until_done(&self) {
        until("the queue to be done", || {
            (self.progress().records >= self.seq).then_some(())
        });
    }
}

fn add(bytes: &mut Vec<u8>, frame: &Frame<'_>) {
    let begin = begin_frame(bytes).unwrap();
    let encoded = postcard::to_stdvec(frame).unwrap();
    bytes.extend_from_slice(&encoded);
    end_frame(bytes, begin).unwrap();
}
