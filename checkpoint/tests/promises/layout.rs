//! Goal: files written earlier are read, and a change of the layout does not pass unnoticed.
//! Method: a file kept as text. zstd may compress otherwise one day, so that what is pinned is the reading; the bytes of
//! a page before compression are pinned beside the type that they archive.

use flow_history_checkpoint::{HEADER_BYTES, LAYOUT, MAGIC};

use crate::flows::{assert_same, bytes_of, every_value, read_all, small};

/// Writes the files anew, after a change of the layout that was meant: `FLOW_HISTORY_REGENERATE=golden-checkpoint`.
fn regenerate() {
    if std::env::var_os("FLOW_HISTORY_REGENERATE").is_none_or(|wanted| wanted != "golden-checkpoint") {
        return;
    }
    for (name, flow) in [("small", small()), ("every_value", every_value())] {
        let digits: String = bytes_of(&flow).iter().map(|byte| format!("{byte:02x}")).collect();
        let lines: Vec<&str> =
            digits.as_bytes().chunks(100).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let place = format!("{}/tests/golden/{name}.hex", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(place, lines.join("\n") + "\n").unwrap();
    }
}

#[test]
fn a_file_written_earlier_is_read() {
    regenerate();
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
    assert_eq!(HEADER_BYTES, 136);
    assert_eq!(bytes[..8], MAGIC);
    assert_eq!(bytes[8..12], LAYOUT.to_le_bytes());
    assert_eq!(bytes[12..16], [0; 4]);
    assert_eq!(bytes[16..32], [0x11; 16]);
    assert_eq!(bytes[32..40], 42_u64.to_le_bytes());
    assert_eq!(bytes[40..72], [0x22; 32]);
    assert_eq!(bytes[72..80], [4, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!(bytes[80..88], 3_u64.to_le_bytes());
    assert_eq!(bytes[96..104], [0, 0, 0, 0, 10, 0, 0, 0]);
    assert_eq!(bytes[120..128], (bytes.len() as u64).to_le_bytes());
}
