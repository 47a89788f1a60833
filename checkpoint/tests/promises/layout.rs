//! Goal: files written earlier are read, and a change of the layout does not pass unnoticed.
//! Method: a file kept as text. zstd may compress otherwise one day, so that what is pinned is the reading; the bytes of
//! a page before compression are pinned beside the type that they archive.

use flow_history_checkpoint::{HEADER_BYTES, LAYOUT, MAGIC};

use crate::flows::{assert_same, bytes_of, every_value, read_all, small};

#[test]
fn a_file_written_earlier_is_read() {
    let golden = [
        (include_str!("../golden/small.hex"), small()),
        (include_str!("../golden/every_value.hex"), every_value()),
    ];
    for (hex, flow) in golden {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let bytes: Vec<u8> = digits.chunks(2).map(pair).collect();
        assert_same(&read_all(&bytes).unwrap(), &flow);
    }
}

#[test]
fn the_header_is_as_the_table_says() {
    let bytes = bytes_of(&small());
    assert_eq!(HEADER_BYTES, 124);
    assert_eq!(bytes[..8], MAGIC);
    assert_eq!(bytes[8..12], LAYOUT.to_le_bytes());
    assert_eq!(bytes[12..16], [0; 4]);
    assert_eq!(bytes[16..32], [0x11; 16]);
    assert_eq!(bytes[32..40], 42_u64.to_le_bytes());
    assert_eq!(bytes[40..72], [0x22; 32]);
    assert_eq!(bytes[72..80], [4, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(bytes[80..88], 3_u64.to_le_bytes());
    assert_eq!(bytes[112..120], (bytes.len() as u64).to_le_bytes());
}
