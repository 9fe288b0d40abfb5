//! The sink `otlp:` with collectors of the tests' own, on loopback.

mod delivery;
mod faults;
mod mapping;
mod processes;
mod security;
mod support;
mod verdicts;
