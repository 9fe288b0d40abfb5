//! Placeholders for values of which only the kind is kept.

/// The placeholder for a value, except URLs and programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Placeholder {
    Value,
    Message,
    Keyword,
    User,
    Revset,
    File,
    Source,
    Pattern,
    Date,
    Template,
    Number,
    Name,
    Option,
    Command,
}

impl Placeholder {
    pub(super) const ALL: [Self; 14] = [
        Self::Value,
        Self::Message,
        Self::Keyword,
        Self::User,
        Self::Revset,
        Self::File,
        Self::Source,
        Self::Pattern,
        Self::Date,
        Self::Template,
        Self::Number,
        Self::Name,
        Self::Option,
        Self::Command,
    ];

    pub(super) fn text(self) -> &'static [u8] {
        match self {
            Self::Value => b"<value>",
            Self::Message => b"<message>",
            Self::Keyword => b"<keyword>",
            Self::User => b"<user>",
            Self::Revset => b"<revset>",
            Self::File => b"<file>",
            Self::Source => b"<source>",
            Self::Pattern => b"<pattern>",
            Self::Date => b"<date>",
            Self::Template => b"<template>",
            Self::Number => b"<number>",
            Self::Name => b"<name>",
            Self::Option => b"<option>",
            Self::Command => b"<command>",
        }
    }

    /// As in the line.
    pub(super) fn marker(self) -> Vec<u8> {
        self.text().to_vec()
    }
}
