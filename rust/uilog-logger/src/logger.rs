//! The sinks of one ui.
//!
//! Asks each sink what is to become of an event, and has the [`Host`] send
//! that; what outlives a ui is the host's. Knows no queue.

use uilog_channel::commandlost;
use uilog_channel::settings::Fault;
use uilog_channel::settings::Settings;
use uilog_event::event::Event;

use crate::account::FaultKind;
use crate::host::Draft;
use crate::host::Host;
use crate::sinks::blackbox;
use crate::sinks::blackbox::Blackbox;
use crate::sinks::records::StructuredSinks;
use crate::sinks::scripts;
use crate::sinks::scripts::Scripts;

/// The sinks of one ui.
#[derive(Debug)]
pub struct Logger {
    scripts: Scripts,
    records: Option<StructuredSinks>,
    blackbox: Option<Blackbox>,
    settings: Settings,
    faults: Vec<Fault>,
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

    /// The same, with the places where the items of `[logtoprocess]` are
    /// defined: names, and files with lines.
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
        let (mut scripts, more) = Scripts::new(slices(logtoprocess));
        scripts.set_sources(slices(sources));
        faults.extend(more);
        let (records, more) = StructuredSinks::new(uilog);
        faults.extend(more);
        Self {
            scripts,
            records,
            blackbox: None,
            settings,
            faults,
        }
    }

    /// Whether there are structured sinks, which need traces.
    pub fn has_structured(&self) -> bool {
        self.records.is_some()
    }

    /// Adds a blackbox, and what its configuration says that was not
    /// understood.
    pub fn add_blackbox(&mut self, blackbox: Blackbox, faults: Vec<Fault>) {
        self.blackbox = Some(blackbox);
        self.faults.extend(faults);
    }

    /// The names of the sinks that track events of this name.
    pub fn sinks_of(&self, event: &[u8]) -> Vec<String> {
        self.names(Some(event))
    }

    /// Whether any sink tracks events of this name.
    pub fn tracks(&self, event: &[u8]) -> bool {
        self.scripts.find(event).is_some()
            || self.records_for(event).is_some()
            || self.blackbox_for(event).is_some()
    }

    /// The names of the sinks in use.
    pub fn sinks(&self) -> Vec<String> {
        self.names(None)
    }

    /// The names of all sinks, or of those that receive an event.
    fn names(&self, event: Option<&[u8]>) -> Vec<String> {
        let has_scripts = match event {
            Some(event) => self.scripts.find(event).is_some(),
            None => self.scripts.events().next().is_some(),
        };
        let scripts = has_scripts.then_some(scripts::SECTION);
        let records = self.records.iter().flat_map(|it| it.names(event));
        let is_wanted =
            |it: &&Blackbox| event.is_none_or(|event| it.tracks(event));
        let blackbox = self.blackbox.as_ref().filter(is_wanted);
        let blackbox = blackbox.map(|_| blackbox::SECTION);
        let own = |name: &str| name.to_owned();
        let names = scripts.into_iter().map(own).chain(records);
        names.chain(blackbox.into_iter().map(own)).collect()
    }

    /// Where the sinks lead that have a URL, without secrets: names and URLs.
    pub fn urls(&self) -> Vec<(String, String)> {
        self.records
            .iter()
            .flat_map(StructuredSinks::urls)
            .collect()
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
        if self.records.is_some() && !self.settings.has_agent {
            host.expect_records();
        }
    }

    /// Hands the event to every sink that tracks it.
    pub fn log(&self, host: &mut Host, draft: Draft<'_>) {
        self.expect_records(host);
        let event = host.event(draft);
        if let Some(script) = self.scripts.find(&event.name) {
            let sent = host.send_script(&event, script, &self.settings);
            host.account(&event.name, sent);
        }
        if let Some(records) = self.records_for(&event.name) {
            let sent = host.send_record(&event, records, &self.settings);
            host.account(&event.name, sent);
        }
        self.write_line(host, &event);
    }

    /// Has the blackbox write its line, if it wants the event.
    fn write_line(&self, host: &mut Host, event: &Event<'_>) {
        if let Some(blackbox) = self.blackbox_for(&event.name) {
            let mut fault = |detail| host.fault(FaultKind::LogFile, detail);
            let written = blackbox.write(event, &mut fault);
            host.account(&event.name, written);
        }
    }

    fn records_for(&self, event: &[u8]) -> Option<&StructuredSinks> {
        self.records.as_ref().filter(|it| it.tracks(event))
    }

    fn blackbox_for(&self, event: &[u8]) -> Option<&Blackbox> {
        self.blackbox.as_ref().filter(|it| it.tracks(event))
    }

    /// Whether any sink tracks killed commands.
    pub fn tells_losses(&self) -> bool {
        self.records_for(commandlost::NAME).is_some()
    }

    /// Notes that a command begins: if its process is killed, the sinks that
    /// track `commandlost` get an event. The draft is that event, with the
    /// command line as its message, and the known options.
    pub fn note_command(&self, host: &mut Host, draft: Draft<'_>) {
        let Some(records) = self.records_for(commandlost::NAME) else {
            return;
        };
        if host.has_noted() {
            return;
        }
        let event = host.note(draft);
        // Why it could not be noted, the command's events will tell.
        if let Err(loss) = host.note_record(&event, records, &self.settings)
            && loss.events > 0
        {
            host.lose(commandlost::NAME, loss.events, loss);
        }
    }

    /// Logs the end of a command that was killed: `lost` to the sinks that
    /// track it, `finish`, its ordinary end, to the others.
    pub fn log_loss(
        &self,
        host: &mut Host,
        lost: Draft<'_>,
        finish: Draft<'_>,
    ) {
        let Some(records) = self.records_for(commandlost::NAME) else {
            if self.tracks(finish.name) {
                self.log(host, finish);
            }
            return;
        };
        let number = host.noted_or_next();
        let event = Event {
            seq: commandlost::seq(number),
            ends_span: true,
            ..host.unnumbered(lost)
        };
        let sent = host.send_record(&event, records, &self.settings);
        host.account(commandlost::NAME, sent);
        let script = self.scripts.find(finish.name);
        if script.is_none() && self.blackbox_for(finish.name).is_none() {
            return;
        }
        let event = host.event(finish);
        if let Some(script) = script {
            let sent = host.send_script(&event, script, &self.settings);
            host.account(&event.name, sent);
        }
        self.write_line(host, &event);
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
