//! Which segment a writer appends to: its own, that of a writer who has gone, or
//! a new one.
//!
//! Must not know what is appended.

use std::process;

use super::Current;
use super::MAX_ATTEMPTS;
use super::Writer;
use crate::channel::SegmentProgress;
use crate::counts::append_all;
use crate::error::Cause;
use crate::error::Context;
use crate::error::Error;
use crate::error::Operation;
use crate::evict;
use crate::files::Files;
use crate::files::Now;
use crate::files::retry;
use crate::frame::Frame;
use crate::frame::FrameKind;
use crate::head::Head;
use crate::name::Class;
use crate::name::Name;
use crate::segment::Reader;
use crate::segment::Step;

/// Maximum number of segments of other writers that are examined, the latest
/// first.
const MAX_ADOPTIONS: usize = 4;

impl<F: Files> Writer<F> {
    /// A segment with room for a frame.
    pub(super) fn take_current(
        &mut self,
        frame_bytes: u64,
        now: &Now,
    ) -> Result<Current<F>, Error> {
        let limits = *self.spool.limits();
        if let Some(current) = self.current.take() {
            let length = current.length + frame_bytes;
            let is_full =
                length > limits.segment_bytes() && current.sequence > 1;
            let is_old = current.head.age_ms(now) > limits.segment_age_ms();
            if !is_full && !is_old {
                return Ok(current);
            }
            self.leave(current);
        }
        let segments = self.spool.segments(self.class)?;
        let reserve = limits.segment_bytes().max(frame_bytes);
        if self.class == Class::Pending {
            evict::make_room(&self.spool, &segments, reserve)?;
        }
        if std::mem::take(&mut self.may_adopt) {
            let latest = segments.iter().rev().take(MAX_ADOPTIONS);
            for segment in latest {
                let has_room =
                    segment.length + frame_bytes <= limits.segment_bytes();
                if !has_room {
                    continue;
                }
                // One that cannot be had is left alone.
                if let Ok(Some(current)) = self.adopt(segment.name, now) {
                    return Ok(current);
                }
            }
        }
        self.begin(segments.last().map(|it| it.name), now)
    }

    /// Continues the segment of a writer that has ended.
    fn adopt(
        &self,
        name: Name,
        now: &Now,
    ) -> Result<Option<Current<F>>, Error> {
        let spool = &self.spool;
        let reader = Reader::open(spool, name, SegmentProgress::default())?;
        let Some(mut reader) = reader else {
            return Ok(None);
        };
        let Some(lock) = reader.lock(spool)? else {
            return Ok(None);
        };
        let status = retry(|| spool.files().status(reader.file()))
            .context(Operation::Open, reader.path())?;
        let head = reader.head(spool)?.filter(|head| {
            head.is_of_this_boot(now)
                && head.age_ms(now) <= spool.limits().segment_age_ms()
        });
        let Some(head) = head.filter(|_| status.is_linked) else {
            return Ok(None);
        };
        loop {
            match reader.step(spool, false)? {
                // Appended records would wait with it.
                Step::Frame(frame) if spool.holds_back(&frame) => {
                    return Ok(None);
                }
                Step::Frame(_) => {}
                Step::Damaged(_) => return Ok(None),
                Step::End => break,
            }
        }
        let SegmentProgress { position, sequence } = reader.place();
        if position != status.length {
            return Ok(None);
        }
        let path = reader.path().clone();
        Ok(Some(Current {
            path,
            file: reader.into_file(),
            _lock: lock,
            head,
            length: position,
            sequence,
            is_dirty: true,
            is_name_dirty: true,
        }))
    }

    /// Begins a segment.
    fn begin(
        &self,
        latest: Option<Name>,
        now: &Now,
    ) -> Result<Current<F>, Error> {
        let spool = &self.spool;
        let files = spool.files();
        for _ in 0..MAX_ATTEMPTS {
            let salt = retry(|| files.random())
                .context(Operation::Create, spool.dir())?;
            let name = Name::after(latest, now.wall_ms, salt, self.class);
            let path = spool.path_of(name);
            let file = match retry(|| files.create(&path)) {
                Err(error)
                    if error.kind() == std::io::ErrorKind::AlreadyExists =>
                {
                    continue;
                }
                result => result.context(Operation::Create, &path)?,
            };
            // A sender may look at it before it is locked, find it without
            // a writer, and remove it.
            let lock = match retry(|| files.lock(&file)) {
                Ok(Some(lock)) => lock,
                Ok(None) => continue,
                Err(error) => {
                    let _ = spool.remove(name);
                    return Err(Error::new(Operation::Lock, path, error));
                }
            };
            let status = retry(|| files.status(&file));
            if status.is_ok_and(|status| !status.is_linked) {
                continue;
            }
            let pid = process::id();
            let head = Head { now: *now, pid };
            let mut bytes = Vec::new();
            let frame = Frame {
                kind: FrameKind::Head,
                sequence: 0,
                age_ms: 0,
                id: &[],
                payload: &head.to_payload(),
            };
            frame.encode(salt, &mut bytes);
            if let Err(error) = append_all(files, &file, &bytes) {
                let _ = spool.remove(name);
                return Err(Error::new(Operation::Append, path, error));
            }
            return Ok(Current {
                path,
                file,
                _lock: lock,
                head,
                length: bytes.len() as u64,
                sequence: 1,
                is_dirty: true,
                is_name_dirty: true,
            });
        }
        let cause = Cause::Unstable;
        Err(Error::new(Operation::Create, spool.dir(), cause))
    }
}
