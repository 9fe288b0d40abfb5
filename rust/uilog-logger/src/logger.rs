//! The sinks of one ui.
//!
//! Creates the sinks of a configuration, and passes events to them. State that
//! outlives a ui belongs to the [`Host`]. Must not know queues.

use std::fmt;

use uilog_channel::commandlost;
use uilog_channel::settings::Fault;
use uilog_channel::settings::Settings;
use uilog_event::event::Event;

use crate::host::Draft;
use crate::host::Host;
use crate::outbox::EventHandler;
use crate::sinks::records::Structured;
use crate::sinks::scripts::LogToProcess;

/// The sinks of one ui.
pub struct Logger {
    sinks: Vec<Box<dyn EventHandler>>,
    settings: Settings,
    faults: Vec<Fault>,
    has_structured: bool,
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.sinks.iter().map(|sink| sink.name()).collect();
        f.debug_struct("Logger")
            .field("sinks", &names)
            .finish_non_exhaustive()
    }
}

impl Logger {
    /// Reads a ui's configuration: the names and values of `[uilog]` and of
    /// `[logtoprocess]`, as far as they are trusted.
    pub fn new(
        uilog: &[(Vec<u8>, Vec<u8>)],
        logtoprocess: &[(Vec<u8>, Vec<u8>)],
    ) -> Self {
        Self::with_sources(uilog, logtoprocess, &[])
    }

    /// The same, and where the items of `[logtoprocess]` stand: names, and
    /// files with lines.
    pub fn with_sources(
        uilog: &[(Vec<u8>, Vec<u8>)],
        logtoprocess: &[(Vec<u8>, Vec<u8>)],
        sources: &[(Vec<u8>, Vec<u8>)],
    ) -> Self {
        fn slices(
            items: &[(Vec<u8>, Vec<u8>)],
        ) -> impl Iterator<Item = (&[u8], &[u8])> {
            items.iter().map(|(name, value)| (&name[..], &value[..]))
        }
        let (settings, mut faults) = Settings::read(slices(uilog));
        let (mut sink, more) =
            LogToProcess::new(slices(logtoprocess), settings);
        sink.set_sources(slices(sources));
        faults.extend(more);
        let mut sinks: Vec<Box<dyn EventHandler>> = Vec::new();
        if sink.events().next().is_some() {
            sinks.push(Box::new(sink));
        }
        let (structured, more) = Structured::new(uilog, settings);
        faults.extend(more);
        let has_structured = structured.is_some();
        if let Some(structured) = structured {
            sinks.push(Box::new(structured));
        }
        Self {
            sinks,
            settings,
            faults,
            has_structured,
        }
    }

    /// Whether there are structured sinks, which tell of traces.
    pub fn has_structured(&self) -> bool {
        self.has_structured
    }

    /// Adds a sink, and what its configuration says that was not understood.
    pub fn add(&mut self, sink: Box<dyn EventHandler>, faults: Vec<Fault>) {
        self.sinks.push(sink);
        self.faults.extend(faults);
    }

    /// The names of the sinks that want events of this name.
    pub fn sinks_of(&self, event: &[u8]) -> Vec<String> {
        let sinks = self.sinks.iter();
        sinks.flat_map(|sink| sink.names(Some(event))).collect()
    }

    /// Whether any sink wants events of this name.
    pub fn tracks(&self, event: &[u8]) -> bool {
        self.sinks.iter().any(|sink| sink.tracks(event))
    }

    /// The names of the sinks in use.
    pub fn sinks(&self) -> Vec<String> {
        self.sinks
            .iter()
            .flat_map(|sink| sink.names(None))
            .collect()
    }

    /// Where the sinks lead that have a URL, without secrets: names and URLs.
    pub fn urls(&self) -> Vec<(String, String)> {
        self.sinks.iter().flat_map(|sink| sink.urls()).collect()
    }

    /// What `[uilog]` says.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the configuration says that was not understood.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// If the dispatcher gets records it is not to be one for scripts alone:
    /// one process does for all.
    fn expect_records(&self, host: &mut Host) {
        if self.has_structured && !self.settings.has_agent {
            host.expect_records();
        }
    }

    /// Hands the event to every sink that tracks it.
    pub fn log(&self, host: &mut Host, draft: Draft<'_>) {
        self.expect_records(host);
        let event = host.event(draft);
        let name = event.name.clone();
        for sink in self.sinks.iter().filter(|sink| sink.tracks(&name)) {
            let delivered = sink.deliver(&event, host);
            host.account(&name, delivered);
        }
    }

    /// Whether any sink is told of commands that are killed.
    pub fn tells_losses(&self) -> bool {
        self.sinks.iter().any(|sink| sink.tells_losses())
    }

    /// Notes that a command begins: if its process is killed, the sinks that
    /// tell of such are told of it by whoever finds that. The draft is of that
    /// event, with the command as it was called for a message, and of the
    /// options what is known.
    pub fn note_command(&self, host: &mut Host, draft: Draft<'_>) {
        if !self.tells_losses() || host.has_noted() {
            return;
        }
        let event = host.note(draft);
        for sink in self.sinks.iter().filter(|sink| sink.tells_losses()) {
            // Why it could not be noted, the command's events will tell.
            if let Err(loss) = sink.note(&event, host)
                && loss.events > 0
            {
                host.lose(commandlost::NAME, loss.events, loss);
            }
        }
    }

    /// Logs the end of a command that was killed: `lost` to the sinks that
    /// tell of such, to the others `finish`, its ordinary end.
    pub fn log_loss(
        &self,
        host: &mut Host,
        lost: Draft<'_>,
        finish: Draft<'_>,
    ) {
        let number = host.noted_or_next();
        let event = Event {
            seq: commandlost::seq(number),
            ends_span: true,
            ..host.unnumbered(lost)
        };
        for sink in self.sinks.iter().filter(|sink| sink.tells_losses()) {
            let delivered = sink.deliver(&event, host);
            host.account(commandlost::NAME, delivered);
        }
        let is_other = |sink: &dyn EventHandler| {
            !sink.tells_losses() && sink.tracks(finish.name)
        };
        let others = self.sinks.iter().filter(|sink| is_other(&***sink));
        let others: Vec<_> = others.collect();
        if others.is_empty() {
            return;
        }
        let event = host.event(finish);
        for sink in others {
            let delivered = sink.deliver(&event, host);
            host.account(&event.name, delivered);
        }
    }

    /// Starts the dispatcher ahead of the first event.
    pub fn prepare_dispatcher(&self, host: &mut Host) {
        self.expect_records(host);
        host.prepare_dispatcher(&self.settings);
    }

    /// Starts the dispatcher, and waits until it has begun.
    ///
    /// # Errors
    ///
    /// Why it has not.
    pub fn probe_dispatcher(&self, host: &mut Host) -> Result<(), String> {
        self.expect_records(host);
        host.probe_dispatcher(&self.settings)
    }
}
