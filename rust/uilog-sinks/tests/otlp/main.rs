//! The sink `otlp:` with collectors of the tests' own, on loopback.

mod delivery;
mod support;
