//! The terminal during `--follow`: its alternate screen, keys and signals.
//!
//! Responsible for restoring the terminal, however the program ends, and for
//! writing only what has changed. Must not know what is shown.

use std::io;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::sys::termios;
use nix::sys::termios::LocalFlags;
use nix::sys::termios::SetArg;
use nix::sys::termios::Termios;
use signal_hook::SigId;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::consts::SIGTSTP;
use signal_hook::consts::SIGWINCH;
use signal_hook::low_level;
use uilog_sys::terminal;

/// The alternate screen, without a cursor. A line of wide characters may need
/// more columns than it has characters, and must not go on in the next line.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
/// The cursor, and the screen as it was.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Clears the line from the cursor on.
const CLEAR_LINE: &str = "\x1b[K";
/// Columns and lines of a terminal of unknown size.
const SIZE: (usize, usize) = (80, 24);
/// Ctrl-C and Ctrl-D, where they are no signals, and what else ends it.
const ENDS: &[u8] = b"qQ\x03\x04";

/// Whether there is a terminal to show something on.
pub(super) fn has_terminal() -> bool {
    io::stdout().is_terminal()
}

/// An event of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// Nothing, for as long as was to be waited.
    Nothing,
    /// The size has changed, or another program has used the terminal.
    Resized,
    /// The user quits.
    Quit,
    /// A signal has come that ends programs.
    Signal(i32),
}

/// The terminal.
pub(super) struct Screen {
    /// How it was, if keys can be read from it.
    before: Option<Termios>,
    /// Becomes readable after a signal.
    signals: UnixStream,
    hooks: Vec<SigId>,
    has_resized: Arc<AtomicBool>,
    has_stopped: Arc<AtomicBool>,
    /// The signal that ends it; 0 if none has come.
    ended_by: Arc<AtomicUsize>,
    /// The lines on it.
    shown: Vec<String>,
    is_entered: bool,
}

impl Screen {
    /// Takes it.
    pub(super) fn enter() -> io::Result<Self> {
        let (signals, writer) = UnixStream::pair()?;
        signals.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        let mut screen = Self {
            before: None,
            signals,
            hooks: Vec::new(),
            has_resized: Arc::default(),
            has_stopped: Arc::default(),
            ended_by: Arc::default(),
            shown: Vec::new(),
            is_entered: false,
        };
        screen.listen(&writer)?;
        screen.take()?;
        Ok(screen)
    }

    /// Has signals noted, and then something written.
    fn listen(&mut self, writer: &UnixStream) -> io::Result<()> {
        let (resized, stopped) = (&self.has_resized, &self.has_stopped);
        for (signal, flag) in [(SIGWINCH, resized), (SIGTSTP, stopped)] {
            let flag = Arc::clone(flag);
            self.hooks.push(signal_hook::flag::register(signal, flag)?);
        }
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            let flag = Arc::clone(&self.ended_by);
            let number = usize::try_from(signal).unwrap_or_default();
            let hook = signal_hook::flag::register_usize(signal, flag, number)?;
            self.hooks.push(hook);
        }
        for signal in [SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH] {
            let writer = writer.try_clone()?;
            self.hooks.push(low_level::pipe::register(signal, writer)?);
        }
        Ok(())
    }

    fn take(&mut self) -> io::Result<()> {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            let before = termios::tcgetattr(&stdin)?;
            let mut raw = before.clone();
            // Signals stay: Ctrl-Z is one of them.
            raw.local_flags
                .remove(LocalFlags::ICANON | LocalFlags::ECHO);
            termios::tcsetattr(&stdin, SetArg::TCSADRAIN, &raw)?;
            self.before = Some(before);
        }
        self.shown.clear();
        self.is_entered = true;
        write_all(ENTER)
    }

    /// Gives it back.
    fn leave(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.is_entered, false) {
            return Ok(());
        }
        let written = write_all(LEAVE);
        if let Some(before) = self.before.take() {
            let stdin = io::stdin();
            termios::tcsetattr(&stdin, SetArg::TCSADRAIN, &before)?;
        }
        written
    }

    /// Columns and lines.
    pub(super) fn size() -> (usize, usize) {
        terminal::size(io::stdout()).unwrap_or(SIZE)
    }

    /// Shows these lines, of which none is wider than the terminal and which
    /// are not more than it has. Writes only those that have changed.
    pub(super) fn show(&mut self, lines: Vec<String>) -> io::Result<()> {
        let changes = changes(&self.shown, &lines);
        self.shown = lines;
        if changes.is_empty() {
            return Ok(());
        }
        write_all(&changes)
    }

    /// Waits for a key or a signal, no longer than that.
    pub(super) fn wait(&mut self, timeout: Duration) -> io::Result<Happened> {
        let stdin = io::stdin();
        let mut events =
            vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if self.before.is_some() {
            events.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        let timeout = PollTimeout::try_from(timeout);
        let timeout = timeout.unwrap_or(PollTimeout::MAX);
        match poll(&mut events, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_keys = events.get(1).and_then(PollFd::any) == Some(true);
        drop(events);
        let mut written = [0; 64];
        // Nothing is there if no signal has come.
        let _ = self.signals.read(&mut written);
        match i32::try_from(self.ended_by.load(Ordering::Acquire)) {
            Ok(0) | Err(_) => {}
            Ok(SIGINT) => return Ok(Happened::Quit),
            Ok(signal) => return Ok(Happened::Signal(signal)),
        }
        let mut happened = Happened::Nothing;
        if self.has_stopped.swap(false, Ordering::AcqRel) {
            self.suspend()?;
            happened = Happened::Resized;
        }
        if self.has_resized.swap(false, Ordering::AcqRel) {
            happened = Happened::Resized;
        }
        if happened == Happened::Resized {
            self.shown.clear();
            write_all("\x1b[2J")?;
        }
        if has_keys {
            let mut keys = [0; 64];
            // Not through std's buffer, which poll does not see.
            let count = nix::unistd::read(&stdin, &mut keys).unwrap_or(0);
            let is_end = count == 0;
            if is_end || keys[..count].iter().any(|it| ENDS.contains(it)) {
                return Ok(Happened::Quit);
            }
        }
        Ok(happened)
    }

    /// Stops as the shell asks for, and takes the terminal again afterwards.
    fn suspend(&mut self) -> io::Result<()> {
        self.leave()?;
        low_level::emulate_default_handler(SIGTSTP)?;
        self.take()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.leave();
        for hook in self.hooks.drain(..) {
            low_level::unregister(hook);
        }
    }
}

fn write_all(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// What turns the lines that are shown into others; nothing if they are the
/// same.
fn changes(shown: &[String], lines: &[String]) -> String {
    let mut text = String::new();
    for row in 0..shown.len().max(lines.len()) {
        let line = lines.get(row).map_or("", String::as_str);
        if shown.get(row).is_none_or(|it| it != line) {
            let place = row + 1;
            // Cleared before: after a whole line, the cursor stands on its
            // last character.
            text.push_str(&format!("\x1b[{place};1H{CLEAR_LINE}{line}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_changed_is_written() {
        let lines = |text: &str| -> Vec<String> {
            text.split('/').map(str::to_owned).collect()
        };
        let first = lines("a/b/c");
        assert_eq!(changes(&first, &first), "");
        let expected = "\x1b[2;1H\x1b[Kx";
        assert_eq!(changes(&first, &lines("a/x/c")), expected);
        let expected = "\x1b[3;1H\x1b[K";
        assert_eq!(changes(&first, &lines("a/b")), expected);
        let expected = "\x1b[1;1H\x1b[Ka";
        assert_eq!(changes(&[], &lines("a")), expected);
    }
}
