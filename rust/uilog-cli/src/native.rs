//! What the subcommands that log have in common: the environment, the
//! configuration, the process's host.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;

use anyhow::Context;
use uilog_channel::agent_address::QueueLocations;
use uilog_channel::sink_config;
use uilog_channel::sink_config::SinkConfig;
use uilog_config::Config;
use uilog_config::Environment;
use uilog_config::Request;
use uilog_config::brake;
use uilog_config::brake::Cause;
use uilog_config::installation;
use uilog_logger::host::Host;
use uilog_logger::installation::Programs;
use uilog_sinks::globals::Globals;
use uilog_sys::environ;

/// The environment as the C library has it.
pub(crate) fn environment_block() -> Vec<u8> {
    let mut block = Vec::new();
    environ::append_to(&mut block);
    block
}

/// The sinks of a configuration, and what all of them may depend on.
pub(crate) fn sinks(config: &Config) -> (Vec<SinkConfig>, Globals) {
    let items = config.items(sink_config::SECTION.as_bytes());
    let items: Vec<_> = items
        .map(|(name, entry)| (name.to_vec(), entry.value.clone()))
        .collect();
    let named = items.iter().map(|(name, value)| (&**name, &**value));
    let (definitions, _) = sink_config::read(named);
    (definitions, Globals::new(&items, &environment_block()))
}

/// Where this user's queues of records may be, as this configuration and the
/// environment say.
pub(crate) fn whereabouts(config: &Config) -> QueueLocations {
    let queue_dir = config.value(b"uilog", b"queue-dir");
    QueueLocations::new(&environment_block(), queue_dir)
}

/// The same of the configuration here.
pub(crate) fn usual_whereabouts() -> QueueLocations {
    whereabouts(&usual_config())
}

/// What is trusted of the configuration here; nothing if it cannot be read.
pub(crate) fn usual_config() -> Config {
    let loaded = installation::environment().ok().and_then(|environment| {
        uilog_config::load(&Request::default(), &environment).ok()
    });
    loaded.map(|it| it.trusted).unwrap_or_default()
}

/// By what this process's environment switches uilog off.
pub(crate) fn switched_off() -> Option<Cause> {
    let value = env::var_os(brake::VARIABLE).map(OsString::into_vec);
    brake::of_variable(value.as_deref())
}

/// This process's host; its dispatcher is this binary, or the one for scripts
/// only in the same directory.
pub(crate) fn host(block: &[u8]) -> anyhow::Result<Host> {
    let program = env::current_exe().context("find this program")?;
    let mut host = Host::new(Programs::of(program));
    host.enter(&mut block.to_vec());
    Ok(host)
}

/// hg's program, as scripts get it: what hg would call itself.
// hg: procutil.hgexecutable
pub(crate) fn hg_program(environment: &Environment) -> Vec<u8> {
    let named = environment.var(b"HG").filter(|hg| !hg.is_empty());
    let found = environment.hg().map(|hg| hg.as_os_str().as_bytes());
    named.or(found).unwrap_or(b"hg").to_vec()
}
