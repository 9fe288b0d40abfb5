//! Reads hgrc files: bytes, then layers, then typed values.
//!
//! [`syntax`] takes the bytes of one file apart and knows no files.
//! [`mod@load`] reads files in Mercurial's order and decides what is trusted;
//! whatever it wants to know of the process it takes from an [`Environment`].
//! [`Config`] is the result, [`value`] gives its values types, and [`items`]
//! holds the defaults of what uilog itself reads.
//!
//! Nothing here knows events, scripts or Python.
//!
//! # Known differences
//!
//! Mercurial is the reference, to the byte. What differs on purpose:
//!
//! - A file that includes itself, or includes nested deeper than
//!   [`MAX_INCLUDE_DEPTH`], is an error with its place; Mercurial ends with a
//!   Python traceback once its stack is full. More than [`MAX_INCLUDES`] files
//!   or more than [`MAX_BYTES`] are an error, too.
//! - Only regular files and `/dev/null` are read. Mercurial waits for the
//!   writer of a named pipe for as long as there is none, and reads up what
//!   was meant for another program.
//! - What extensions change in Mercurial's memory is not seen: they are not
//!   loaded.

mod config;
pub mod date;
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
