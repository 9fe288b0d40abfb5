//! The format of a record in a segment, and whether it is complete.
//!
//! Pure: bytes in, frames out. Must not know files.
//!
//! ```text
//!  0  magic        4 bytes, of which the first is never in UTF-8 text
//!  4  length       u32, bytes of id and payload together
//!  8  sequence     u32, counts the frames of the segment, so that it is known
//!                  how many are missing
//! 12  age          u32, milliseconds since the segment was created
//! 16  kind         u8
//! 17  id length    u8
//! 18  zero         2 bytes
//! 20  body sum     u32, crc32c of salt, id and payload
//! 24  header sum   u32, crc32c of salt and bytes 0 to 24
//! 28  id
//!     payload
//! ```
//!
//! Numbers are little-endian. The header has its own checksum: in damaged data,
//! any bytes may look like the beginning of a frame, and without a checksum its
//! length could not be trusted. The salt is the segment's.

use memchr::memmem;

/// Bytes before the id.
pub(crate) const HEADER_BYTES: usize = 28;
/// Maximum bytes of an id, a payload and its header.
const MAX_BODY_BYTES: usize =
    MAX_ID_BYTES + MAX_REASON_BYTES + 2 + MAX_PAYLOAD_BYTES;
/// Bytes of an id at least.
pub const MIN_ID_BYTES: usize = 16;
/// Bytes of an id at most.
pub const MAX_ID_BYTES: usize = 24;
/// Bytes of a payload at most.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;
/// Bytes of the reason of a rejection at most; a longer one is cut off.
pub const MAX_REASON_BYTES: usize = 1024;

const MAGIC: [u8; 4] = [0xf5, b'u', b'l', b'1'];
/// Bytes of the header that its sum covers.
const SUMMED_BYTES: usize = 24;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// The first frame of a segment: who wrote it, and when.
    Head,
    /// A record.
    Record,
    /// A record that the receiver refuses, and why.
    Rejected,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Head,
            1 => Self::Record,
            2 => Self::Rejected,
            _ => return None,
        })
    }

    fn to_byte(self) -> u8 {
        match self {
            Self::Head => 0,
            Self::Record => 1,
            Self::Rejected => 2,
        }
    }
}

/// A whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: FrameKind,
    pub(crate) sequence: u32,
    /// Milliseconds since the segment was created.
    pub(crate) age_ms: u32,
    pub(crate) id: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes of the frame.
    pub(crate) fn bytes(&self) -> usize {
        HEADER_BYTES + self.id.len() + self.payload.len()
    }

    /// Appends it.
    pub(crate) fn encode(&self, salt: u64, out: &mut Vec<u8>) {
        let length = (self.id.len() + self.payload.len()) as u32;
        let body_sum = crc32c::crc32c_append(sum(salt, self.id), self.payload);
        let start = out.len();
        out.reserve(self.bytes());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.age_ms.to_le_bytes());
        let (kind, id_length) = (self.kind.to_byte(), self.id.len() as u8);
        out.extend_from_slice(&[kind, id_length, 0, 0]);
        out.extend_from_slice(&body_sum.to_le_bytes());
        let header_sum = sum(salt, &out[start..]);
        out.extend_from_slice(&header_sum.to_le_bytes());
        out.extend_from_slice(self.id);
        out.extend_from_slice(self.payload);
    }
}

/// The header of a frame, with a correct checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    kind: FrameKind,
    length: usize,
    id_length: usize,
    sequence: u32,
    age_ms: u32,
    body_sum: u32,
}

impl Header {
    /// The header that `bytes` begin with, if they do.
    pub(crate) fn parse(bytes: &[u8], salt: u64) -> Option<Self> {
        let header = bytes.get(..HEADER_BYTES)?;
        if !header.starts_with(&MAGIC) {
            return None;
        }
        let word = |at: usize| {
            let word = header[at..at + 4].try_into().expect("four bytes");
            u32::from_le_bytes(word)
        };
        if word(SUMMED_BYTES) != sum(salt, &header[..SUMMED_BYTES]) {
            return None;
        }
        let length = usize::try_from(word(4)).ok()?;
        let id_length = usize::from(header[17]);
        if length > MAX_BODY_BYTES || id_length > length {
            return None;
        }
        Some(Self {
            kind: FrameKind::from_byte(header[16])?,
            length,
            id_length,
            sequence: word(8),
            age_ms: word(12),
            body_sum: word(20),
        })
    }

    /// Bytes of the frame.
    pub(crate) fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.length
    }

    /// The place of the frame in its segment.
    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Whether it is the segment's first frame.
    pub(crate) fn is_head(&self) -> bool {
        self.kind == FrameKind::Head
    }

    /// Whether the body in `bytes`, which begin with this header, is there
    /// and undamaged.
    pub(crate) fn is_whole(&self, bytes: &[u8], salt: u64) -> bool {
        bytes
            .get(HEADER_BYTES..self.frame_bytes())
            .is_some_and(|body| sum(salt, body) == self.body_sum)
    }

    /// The frame in `bytes`, which begin with this header and are whole.
    pub(crate) fn frame<'a>(&self, bytes: &'a [u8]) -> Frame<'a> {
        let body = &bytes[HEADER_BYTES..self.frame_bytes()];
        let (id, payload) = body.split_at(self.id_length);
        Frame {
            kind: self.kind,
            sequence: self.sequence,
            age_ms: self.age_ms,
            id,
            payload,
        }
    }
}

/// Where the next header in `bytes` may begin; their end if no header can.
pub(crate) fn next_candidate(bytes: &[u8]) -> usize {
    memmem::find(bytes, &MAGIC).unwrap_or_else(|| {
        // `bytes` may end within the magic number.
        (1..MAGIC.len())
            .rev()
            .find(|length| bytes.ends_with(&MAGIC[..*length]))
            .map_or(bytes.len(), |length| bytes.len() - length)
    })
}

fn sum(salt: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: u64 = 0x0123_4567_89ab_cdef;

    fn frame<'a>(id: &'a [u8], payload: &'a [u8]) -> Frame<'a> {
        Frame {
            kind: FrameKind::Record,
            sequence: 7,
            age_ms: 99,
            id,
            payload,
        }
    }

    fn parse(bytes: &[u8], salt: u64) -> Option<Frame<'_>> {
        let header = Header::parse(bytes, salt)?;
        header.is_whole(bytes, salt).then(|| header.frame(bytes))
    }

    #[test]
    fn the_sum_is_castagnolis() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_frame_of_another_segment_is_none() {
        let mut bytes = Vec::new();
        frame(b"0123456789abcdef", b"payload").encode(SALT, &mut bytes);
        assert!(parse(&bytes, SALT).is_some());
        assert_eq!(parse(&bytes, SALT ^ 1), None);
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_seen() {
        let mut bytes = Vec::new();
        frame(b"0123456789abcdef", b"a payload").encode(SALT, &mut bytes);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&bytes, SALT), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end], SALT), None, "cut at {end}");
        }
    }

    #[test]
    fn a_candidate_may_be_cut_off() {
        assert_eq!(next_candidate(b"abc"), 3);
        assert_eq!(next_candidate(b"ab\xf5u"), 2);
        assert_eq!(next_candidate(b"ab\xf5ul1\xf5"), 2);
        assert_eq!(next_candidate(b"\xf5x\xf5"), 2);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read(
            id in prop::collection::vec(any::<u8>(), 16..=24),
            payload in prop::collection::vec(any::<u8>(), 0..300),
            salt in any::<u64>(),
            rest in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let frame = frame(&id, &payload);
            let mut bytes = Vec::new();
            frame.encode(salt, &mut bytes);
            prop_assert_eq!(bytes.len(), frame.bytes());
            bytes.extend(rest);
            prop_assert_eq!(parse(&bytes, salt), Some(frame));
        }
    }
}
