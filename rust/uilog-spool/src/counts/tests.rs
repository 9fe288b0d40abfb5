//! Tests of [`super`].

use super::file::Text;
use super::file::checked;

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
