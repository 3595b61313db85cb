use super::*;

/// Reads a whole body in pieces of a size.
fn read(wire: &[u8], piece: usize) -> Result<(Vec<u8>, usize), Refusal> {
    let mut reader = ChunkReader::default();
    let mut data = Vec::new();
    let mut at = 0;
    let mut end = piece.min(wire.len());
    loop {
        match reader.step(&wire[at..end])? {
            Step::More { skip } => {
                at += skip;
                if end == wire.len() {
                    return Ok((data, usize::MAX));
                }
                end = (end + piece).min(wire.len());
            }
            Step::Data { skip, length } => {
                data.extend_from_slice(&wire[at + skip..at + skip + length]);
                at += skip + length;
            }
            Step::End { skip } => return Ok((data, at + skip)),
        }
    }
}

#[test]
fn well_formed_bodies_are_read_however_they_are_cut() {
    let table: [(&[u8], &[u8]); 6] = [
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
        (b"5;a=b;c=\"d\"\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"0\r\n\r\n", b""),
        (b"00a\r\n0123456789\r\n000\r\nx-trailer: y\r\n\r\n", b"0123456789"),
        (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    ];
    for (wire, expected) in table {
        let mut followed = wire.to_vec();
        followed.extend_from_slice(b"GET / HTTP/1.1\r\n");
        for piece in 1..=followed.len() {
            let (data, end) = read(&followed, piece).expect("well formed");
            assert_eq!((data.as_slice(), end), (expected, wire.len()), "{wire:?} by {piece}");
        }
    }
}

#[test]
fn what_two_servers_could_read_differently_is_refused() {
    let table: [&[u8]; 25] = [
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"5_\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5;\r\nhello\r\n0\r\n\r\n",
        b"5;\nhello\r\n0\r\n\r\n",
        b"5;a\nhello\r\n0\r\n\r\n",
        b"5;a\rb\nhello\r\n0\r\n\r\n",
        b"5\r;a\r\nhello\r\n0\r\n\r\n",
        b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello6\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r\r\n0\r\n\r\n",
        b"5\r\nhelloX0\r\n\r\n",
        b";\r\n",
        b"\r\n",
        b"11111111111111111\r\n",
        b"0\r\n x: y\r\n\r\n",
        b"0\r\nx y\r\n\r\n",
        b"0\r\nx: y\n\r\n",
        b"0\r\nx: y\r\n\n",
    ];
    for wire in table {
        for piece in 1..=wire.len() {
            assert!(read(wire, piece).is_err(), "{:?} by {piece}", String::from_utf8_lossy(wire));
        }
    }
    let mut long = b"5;".to_vec();
    long.extend(std::iter::repeat_n(b'x', 65 << 10));
    assert!(read(&long, long.len()).is_err());
}

#[test]
fn chunks_are_written_as_they_are_read() {
    for size in [1, 15, 16, 255, 4096, 70_000] {
        let data = vec![b'd'; size];
        let mut wire = Vec::new();
        write_chunk(&data, &mut wire);
        wire.extend_from_slice(LAST_CHUNK);
        assert_eq!(read(&wire, wire.len()), Ok((data, wire.len())), "{size}");
    }
}

#[test]
fn trailers_are_kept() {
    let mut reader = ChunkReader::default();
    let wire = b"0\r\nx-a: b\r\nx-c: d\r\n\r\n";
    assert_eq!(reader.step(wire), Ok(Step::End { skip: wire.len() }));
    assert_eq!(reader.trailer_lines(), b"x-a: b\r\nx-c: d\r\n");
}
