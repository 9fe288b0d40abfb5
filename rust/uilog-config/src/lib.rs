//! Reads hgrc files: bytes, then layers, then typed values.
//!
//! [`syntax`] parses the bytes of one file. [`mod@load`] reads files in
//! Mercurial's order and decides which are trusted; it takes all facts about
//! the process from an [`Environment`]. [`Config`] is the result, [`value`]
//! parses typed values, and [`items`] has the defaults of uilog's settings.
//!
//! Must not know events, scripts or Python.
//!
//! # Known differences
//!
//! Mercurial is the reference, to the byte. What differs on purpose:
//!
//! - A file that includes itself, or includes nested deeper than
//!   [`MAX_INCLUDE_DEPTH`], is an error with its place; Mercurial ends with a
//!   Python traceback once its stack is full. More than [`MAX_INCLUDES`] files
//!   or more than [`MAX_BYTES`] are an error, too.
//! - Only regular files and `/dev/null` are read. Mercurial also reads named
//!   pipes: it waits for a writer without a limit, and consumes data that was
//!   meant for another program.
//! - Extensions are not loaded, so what they change in Mercurial's
//!   configuration at run time is not seen.

pub mod brake;
mod config;
pub mod date;
pub mod described;
mod environment;
mod error;
pub mod expand;
pub mod installation;
pub mod items;
mod layers;
pub mod load;
mod location;
mod paths;
mod plain;
mod posixpath;
mod read;
pub mod repository;
mod source;
pub mod syntax;
mod trust;
pub mod value;
mod value_error;
pub mod when;

pub use config::Config;
pub use config::Entry;
pub use config::extension_name;
pub use environment::Environment;
pub use error::Error;
pub use expand::expand_path;
pub use layers::Layer;
pub use load::FileReport;
pub use load::FileState;
pub use load::Loaded;
pub use load::Request;
pub use load::load;
pub use read::MAX_BYTES;
pub use read::MAX_INCLUDE_DEPTH;
pub use read::MAX_INCLUDES;
pub use source::Source;
pub use value_error::ValueError;
