//! Writes protobuf fields into a buffer one after the other, without building
//! messages first, because thousands are sent.
//!
//! As in protobuf's own writers, fields with their default are left out, and
//! lengths are as short as possible, so that a program which reads and writes a
//! message gets the same bytes.
//!
//! Knows the encoding. Must not know messages.

/// How a field's value is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Sized = 2,
    Fixed32 = 5,
}

/// Appends a number in as few bytes as it needs.
fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes of a number.
pub(crate) fn varint_bytes(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

fn put_tag(field: u32, wire: WireType, out: &mut Vec<u8>) {
    put_varint(u64::from(field << 3 | wire as u32), out);
}

/// Bytes of a sized field with so many bytes in it.
pub(crate) fn sized_bytes(field: u32, bytes: usize) -> usize {
    varint_bytes(u64::from(field << 3)) + varint_bytes(bytes as u64) + bytes
}

/// Begins a sized field; so many bytes are to follow.
pub(crate) fn put_head(field: u32, bytes: usize, out: &mut Vec<u8>) {
    put_tag(field, WireType::Sized, out);
    put_varint(bytes as u64, out);
}

/// Appends bytes or a text, even if there are none.
pub(crate) fn put_set_bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put_head(field, bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Appends bytes or a text.
pub(crate) fn put_bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        put_set_bytes(field, bytes, out);
    }
}

/// Appends a text of two parts, unless both are empty.
pub(crate) fn put_joined(
    field: u32,
    [first, second]: [&str; 2],
    out: &mut Vec<u8>,
) {
    let bytes = first.len() + second.len();
    if bytes > 0 {
        put_head(field, bytes, out);
        out.extend_from_slice(first.as_bytes());
        out.extend_from_slice(second.as_bytes());
    }
}

/// Appends a number, even if it is 0.
pub(crate) fn put_set_number(field: u32, value: u64, out: &mut Vec<u8>) {
    put_tag(field, WireType::Varint, out);
    put_varint(value, out);
}

/// Appends one of an enumeration.
pub(crate) fn put_choice(field: u32, value: i32, out: &mut Vec<u8>) {
    if value != 0 {
        put_set_number(field, i64::from(value) as u64, out);
    }
}

/// Appends a number of eight bytes, even if it is 0.
pub(crate) fn put_set_fixed64(field: u32, value: u64, out: &mut Vec<u8>) {
    put_tag(field, WireType::Fixed64, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a number of eight bytes.
pub(crate) fn put_fixed64(field: u32, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        put_set_fixed64(field, value, out);
    }
}

/// Appends a number of four bytes.
pub(crate) fn put_fixed32(field: u32, value: u32, out: &mut Vec<u8>) {
    if value != 0 {
        put_tag(field, WireType::Fixed32, out);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Appends a message that `put` writes.
pub(crate) fn put_message(
    field: u32,
    out: &mut Vec<u8>,
    put: impl FnOnce(&mut Vec<u8>),
) {
    // How long it is, is known when it is there: most need two bytes for that.
    const GUESS: usize = 2;
    put_tag(field, WireType::Sized, out);
    let start = out.len();
    out.extend_from_slice(&[0; GUESS]);
    put(out);
    let length = out.len() - start - GUESS;
    let head = varint_bytes(length as u64);
    if head > GUESS {
        out.resize(out.len() + head - GUESS, 0);
    }
    if head != GUESS {
        let begin = start + GUESS;
        out.copy_within(begin..begin + length, start + head);
        out.truncate(start + head + length);
    }
    let mut left = length;
    for byte in &mut out[start..start + head - 1] {
        *byte = left as u8 | 0x80;
        left >>= 7;
    }
    out[start + head - 1] = left as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_as_many_bytes_as_it_needs() {
        for shift in 0..64 {
            for value in [(1_u64 << shift) - 1, 1 << shift, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                put_varint(value, &mut bytes);
                assert_eq!(bytes.len(), varint_bytes(value), "{value}");
                let read = prost::encoding::decode_varint(&mut &bytes[..]);
                assert_eq!(read.unwrap(), value);
                assert_eq!(
                    bytes.len(),
                    prost::encoding::encoded_len_varint(value)
                );
            }
        }
    }

    #[test]
    fn a_message_of_any_length_has_its_length_before_it() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let mut out = vec![1, 2, 3];
            put_message(20, &mut out, |out| out.resize(out.len() + length, 7));
            let mut expected = vec![1, 2, 3];
            put_set_bytes(20, &vec![7; length], &mut expected);
            assert_eq!(out, expected);
            assert_eq!(out.len(), 3 + sized_bytes(20, length));
        }
    }
}
