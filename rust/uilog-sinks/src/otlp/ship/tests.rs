//! Tests of [`super`].

use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;
use serde_json::json;
use uilog_spool::Record;
use uilog_spool::RecordId;

use super::request::MAX_RECORDS;
use super::results::BatchObserver;
use super::results::BatchResult;
use super::results::Outcome;
use super::shipper::Shipper;
use crate::otlp::http::RequestSender;
use crate::otlp::request::SignalType;
use crate::otlp::verdict::Refusal;
use crate::otlp::verdict::Verdict;

const RECORDS: usize = 3 * MAX_RECORDS;

/// Answers by the messages of the records that it is asked to take.
struct Asked<F>(Vec<Vec<usize>>, F);

impl<F: FnMut(&[usize]) -> Verdict + Send> RequestSender for &mut Asked<F> {
    fn post(&mut self, _: SignalType, body: Vec<u8>) -> Verdict {
        let request = ExportLogsServiceRequest::decode(&body[..]).unwrap();
        let scopes = request.resource_logs.into_iter();
        let scopes = scopes.flat_map(|it| it.scope_logs);
        let numbers: Vec<usize> = scopes
            .flat_map(|it| it.log_records)
            .map(|it| it.event_name[4..].parse().unwrap())
            .collect();
        let verdict = self.1(&numbers);
        self.0.push(numbers);
        verdict
    }

    fn settings(&self, _: SignalType) -> u64 {
        0
    }
}

/// What it has been told.
#[derive(Default)]
struct Told {
    end: usize,
    rejected: Vec<usize>,
    unknown: u64,
    reasons: Vec<String>,
    has_accepted: bool,
}

impl BatchObserver for Told {
    fn finish(&mut self, it: BatchResult) {
        assert!(it.end >= self.end, "{it:?}");
        let is_new = |index: &usize| (self.end..it.end).contains(index);
        assert!(it.rejected.iter().all(is_new), "{it:?}");
        self.end = it.end;
        self.unknown += it.unknown;
        if it.unknown > 0 || !it.rejected.is_empty() {
            self.reasons.push(it.reason);
        }
        self.rejected.extend(it.rejected);
    }

    fn note_accepted(&mut self) {
        self.has_accepted = true;
    }

    fn has_accepted(&self) -> bool {
        self.has_accepted
    }

    fn may_reject(&mut self, count: u64) -> bool {
        self.has_accepted && count <= 16
    }
}

fn payload(number: usize) -> Vec<u8> {
    let session = format!("{:032x}", number + 1);
    let record = json!({
        "schema": 1,
        "id": format!("{session}-1"),
        "event": format!("x{number}"),
        "time": "2026-01-02T03:04:05.000006+01:00",
        "session": session,
        "seq": 1,
        "message": "",
        "process": {"pid": 1, "executable": "/usr/bin/hg"},
        "host": {"name": "here"},
    });
    serde_json::to_vec(&record).unwrap()
}

fn records(count: usize) -> Vec<Record> {
    let record = |number: usize| Record {
        id: RecordId::new(&(number as u128).to_le_bytes()).unwrap(),
        time: std::time::UNIX_EPOCH,
        payload: payload(number),
    };
    (0..count).map(record).collect()
}

fn refused() -> Verdict {
    Verdict::Refused(Refusal {
        status: 400,
        text: "no".to_owned(),
    })
}

/// Ships so many records to whoever answers so, once they were asked; and
/// returns what was asked.
fn ship(
    records: &[Record],
    told: &mut Told,
    answer: impl FnMut(&[usize]) -> Verdict + Send,
) -> (Outcome, Vec<Vec<usize>>) {
    let mut asked = Asked(Vec::new(), answer);
    let mut shipper = Shipper::new(&mut asked, SignalType::Logs, Vec::new());
    let outcome = shipper.ship(records, told);
    (outcome, asked.0)
}

fn later(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Later { reason, .. } => reason,
        Outcome::Done => panic!("it is done"),
    }
}

#[test]
fn a_batch_is_sent_in_parts_and_in_order() {
    let mut told = Told::default();
    let (outcome, asked) =
        ship(&records(RECORDS), &mut told, |_| Verdict::Accepted);
    assert_eq!(outcome, Outcome::Done);
    assert_eq!((told.end, told.rejected), (RECORDS, vec![]));
    assert!(asked.len() >= 3);
    assert_eq!(asked.concat(), (0..RECORDS).collect::<Vec<_>>());
}

/// It is told before the failure, so no process sends it again.
#[test]
fn what_was_taken_before_a_failure_is_settled() {
    let mut answers = 0;
    let mut told = Told::default();
    let (outcome, asked) = ship(&records(RECORDS), &mut told, |_| {
        answers += 1;
        match answers {
            2 => Verdict::Later {
                after: Some(Duration::from_secs(7)),
                reason: "busy".to_owned(),
            },
            _ => Verdict::Accepted,
        }
    });
    let expected = Outcome::Later {
        after: Some(Duration::from_secs(7)),
        reason: "busy".to_owned(),
    };
    assert_eq!(outcome, expected);
    // Nothing is sent after it.
    assert_eq!(asked.len(), 2);
    assert_eq!(told.end, asked[0].len());
}

#[test]
fn what_is_refused_in_the_middle_is_found() {
    const BAD: usize = MAX_RECORDS + 7;
    let mut taken = Vec::new();
    let mut told = Told::default();
    let (outcome, asked) = ship(&records(RECORDS), &mut told, |numbers| {
        if numbers.contains(&BAD) {
            return refused();
        }
        taken.extend_from_slice(numbers);
        Verdict::Accepted
    });
    assert_eq!(outcome, Outcome::Done);
    assert_eq!((told.end, told.rejected), (RECORDS, vec![BAD]));
    assert_eq!(told.reasons, ["status 400: no"]);
    let others = (0..RECORDS).filter(|it| *it != BAD);
    assert_eq!(taken, others.collect::<Vec<_>>());
    assert!(asked.len() < 30, "{}", asked.len());
}

#[test]
fn what_refuses_everything_rejects_nothing_and_is_asked_a_few_times() {
    for has_accepted in [false, true] {
        let mut told = Told {
            has_accepted,
            ..Told::default()
        };
        let (outcome, asked) =
            ship(&records(RECORDS), &mut told, |_| refused());
        let hint = match has_accepted {
            false => "is this an OTLP endpoint?",
            true => "others were, earlier",
        };
        let reason = format!("not accepted: 400 ({hint}): no");
        assert_eq!(later(&outcome), reason);
        assert_eq!((told.end, told.rejected), (0, vec![]));
        assert!(asked.len() <= 8, "{}", asked.len());
    }
}

#[test]
fn a_few_are_rejected_by_what_has_accepted_others_before() {
    for count in 1..=7 {
        let mut told = Told::default();
        let (outcome, _) = ship(&records(count), &mut told, |_| refused());
        assert!(later(&outcome).starts_with("not accepted: 400"));
        assert_eq!((told.end, told.rejected), (0, vec![]));
        let mut told = Told {
            has_accepted: true,
            ..Told::default()
        };
        let (outcome, asked) = ship(&records(count), &mut told, |_| refused());
        assert_eq!(outcome, Outcome::Done);
        assert_eq!(told.end, count);
        assert_eq!(told.rejected, (0..count).collect::<Vec<_>>());
        assert!(asked.len() <= 8);
    }
}

/// The first is refused, and rejected when another one is accepted.
#[test]
fn a_refused_record_waits_for_evidence() {
    let mut told = Told::default();
    let (outcome, _) = ship(&records(3), &mut told, |numbers| match numbers {
        [0] => refused(),
        [1] => Verdict::Later {
            after: None,
            reason: "busy".to_owned(),
        },
        _ => refused(),
    });
    assert_eq!(later(&outcome), "busy");
    assert_eq!((told.end, told.rejected), (0, vec![]));
    let mut told = Told::default();
    let (outcome, _) = ship(&records(3), &mut told, |numbers| match numbers {
        [0] | [2] => refused(),
        [1] => Verdict::Accepted,
        _ => refused(),
    });
    assert_eq!(outcome, Outcome::Done);
    assert_eq!((told.end, told.rejected), (3, vec![0, 2]));
}

#[test]
fn what_is_no_record_is_rejected_whoever_answers() {
    let mut all = records(9);
    for at in [0, 4, 8] {
        all[at].payload = b"{".to_vec();
    }
    let mut told = Told::default();
    let (outcome, asked) = ship(&all, &mut told, |_| Verdict::Accepted);
    assert_eq!((outcome, asked.len()), (Outcome::Done, 1));
    assert_eq!((told.end, told.rejected), (9, vec![0, 4, 8]));
    assert!(told.reasons[0].starts_with("it is not a record"));
    let mut told = Told::default();
    let (outcome, asked) = ship(&all[..1], &mut told, |_| refused());
    assert_eq!((outcome, asked.len()), (Outcome::Done, 0));
    assert_eq!((told.end, told.rejected), (1, vec![0]));
    // Among what is refused it waits, since order is kept.
    let mut told = Told::default();
    let (outcome, _) = ship(&all, &mut told, |_| refused());
    assert!(later(&outcome).starts_with("not accepted"));
    // Divided, it is found all the same.
    let mut told = Told::default();
    let (outcome, _) = ship(&all, &mut told, |numbers| {
        match numbers.contains(&5) || numbers.contains(&3) {
            true => refused(),
            false => Verdict::Accepted,
        }
    });
    assert_eq!(outcome, Outcome::Done);
    told.rejected.sort_unstable();
    assert_eq!((told.end, told.rejected), (9, vec![0, 3, 4, 5, 8]));
}

#[test]
fn what_is_counted_only_is_added_up() {
    let mut told = Told::default();
    let (outcome, asked) =
        ship(&records(RECORDS), &mut told, |_| Verdict::Partly {
            rejected: 2,
            reason: "two".to_owned(),
        });
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(told.unknown, 2 * asked.len() as u64);
    assert_eq!((told.end, told.rejected), (RECORDS, vec![]));
    assert_eq!(told.reasons[0], "two");
}

/// Another process has sent the batch whose answer told of rejections.
#[test]
fn what_is_counted_only_does_not_survive_into_another_batch() {
    let mut answers = 0;
    let mut asked = Asked(Vec::new(), |_: &[usize]| {
        answers += 1;
        match answers {
            1 => Verdict::Partly {
                rejected: 2,
                reason: "two".to_owned(),
            },
            2 => Verdict::Later {
                after: None,
                reason: "busy".to_owned(),
            },
            _ => Verdict::Accepted,
        }
    });
    let mut shipper = Shipper::new(&mut asked, SignalType::Logs, Vec::new());
    let all = records(2 * RECORDS);
    let mut told = Told::default();
    let outcome = shipper.ship(&all[..RECORDS], &mut told);
    assert_eq!(later(&outcome), "busy");
    // That is told at once, with the records that it is about.
    assert_eq!(told.unknown, 2);
    assert!(told.end > 0 && told.end < RECORDS, "{}", told.end);
    let mut told = Told::default();
    let outcome = shipper.ship(&all[RECORDS..], &mut told);
    assert_eq!(outcome, Outcome::Done);
    assert_eq!((told.end, told.unknown), (RECORDS, 0));
    assert_eq!(told.reasons, [""; 0]);
}
