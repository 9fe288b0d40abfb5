//! Tests of [`super`].

use super::AcknowledgedLosses;
use super::Evicted;
use super::SenderState;
use super::file::Text;
use super::file::checked;
use super::from_line;
use super::to_line;
use crate::channel::ChannelProgress;
use crate::channel::SegmentProgress;
use crate::name::Class;
use crate::name::Name;
use crate::segment::Damage;
use crate::spool::Options;
use crate::spool::Spool;

const VERSION: u32 = 3;

fn name(salt: u64) -> Name {
    Name::after(None, 5000, salt, Class::Pending)
}

fn place(position: u64, sequence: u32) -> SegmentProgress {
    SegmentProgress { position, sequence }
}

/// Each number is another one, so none can be read in the place of another.
fn sent() -> SenderState {
    let mut ahead = ChannelProgress::all(place(400, 4));
    ahead.set(1, place(500, 5));
    SenderState {
        number: 11,
        records: 12,
        rejected: 13,
        rejected_dropped: 14,
        damage: Damage {
            records: 15,
            bytes: 16,
        },
        lost: 17,
        places: [
            (name(1), ChannelProgress::all(place(300, 3))),
            (name(2), ahead),
        ]
        .into(),
        has_progress: false,
    }
}

/// What is read when the file holds this text.
fn in_file(text: Text) -> String {
    checked(text.finish().into_bytes()).unwrap()
}

#[test]
fn a_damaged_file_is_none() {
    let mut text = Text::default();
    text.item("records", 17);
    let bytes = text.finish().into_bytes();
    assert!(checked(bytes.clone()).is_some());
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert_eq!(checked(damaged), None, "byte {at}");
        assert_eq!(checked(bytes[..at].to_vec()), None, "cut at {at}");
    }
}

#[test]
fn what_the_sender_has_written_is_read_back() {
    let sent = sent();
    let text = in_file(sent.to_text(VERSION));
    assert_eq!(SenderState::parse(&text, VERSION), sent);
    let line = to_line(sent.to_text(VERSION));
    let text = checked(from_line(line.strip_suffix(b"\n").unwrap())).unwrap();
    assert_eq!(SenderState::parse(&text, VERSION), sent);
}

/// More than a megabyte.
#[test]
fn the_places_in_very_many_segments_are_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(&directory.path().join("a"), Options::default());
    let spool = spool.unwrap();
    let progress = ChannelProgress::all(place(300, 3));
    let mut sent = SenderState {
        places: (0..30_000).map(|salt| (name(salt), progress)).collect(),
        ..sent()
    };
    sent.save(&spool).unwrap();
    assert!(SenderState::load(&spool).unwrap() == sent);
}

/// Which record is of which channel may have changed since.
#[test]
fn another_version_of_the_channels_starts_at_the_lowest_place() {
    let mut sent = sent();
    let text = in_file(sent.to_text(VERSION));
    let lowest = ChannelProgress::all(place(400, 4));
    sent.places.insert(name(2), lowest);
    assert_eq!(SenderState::parse(&text, VERSION + 1), sent);
}

/// Lines that a later version of uilog may write.
#[test]
fn a_channel_that_is_unknown_is_not_ahead() {
    for line in ["2 {} 700 7", "x {} 700 7", "1 {} 700", "1"] {
        let mut text = sent().to_text(VERSION);
        let line = line.replace("{}", &name(1).to_string());
        text.item("ahead", &line);
        let read = SenderState::parse(&in_file(text), VERSION);
        assert_eq!(read, sent(), "{line}");
    }
}

#[test]
fn what_the_evictor_has_written_is_read_back() {
    let evicted = Evicted {
        records: 21,
        bytes: 22,
        damage: Damage {
            records: 23,
            bytes: 24,
        },
        lost: 25,
        leaving: [(name(1), place(300, 3)), (name(2), place(400, 4))].into(),
    };
    let text = in_file(evicted.to_text());
    assert_eq!(Evicted::parse(&text), evicted);
}

#[test]
fn what_was_acknowledged_is_read_back() {
    let acknowledged = AcknowledgedLosses {
        evicted: 31,
        rejected: 32,
        damaged: 33,
        counts_lost: 34,
    };
    let text = in_file(acknowledged.to_text());
    assert_eq!(AcknowledgedLosses::parse(&text), acknowledged);
}
