//! Why an agent could not do its work.

use std::io;

/// Why an agent could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is another agent.
    #[error("there is an agent already, or one is being started")]
    Taken,
    /// The system failed.
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
}

pub(crate) fn system<E: Into<io::Error>>(
    what: &'static str,
) -> impl Fn(E) -> Error {
    move |error| Error::System(what, error.into())
}
