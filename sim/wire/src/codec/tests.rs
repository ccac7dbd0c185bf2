use std::io::Write;

use proptest::prelude::*;

use super::*;

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
const MIB: usize = 1 << 20;

fn compressed(codec: Compression, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    codec.compress(input, &mut out);
    out
}

/// Bytes of which some repeat, so that codecs find something to do.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        (prop::collection::vec(any::<u8>(), 1..40), 0usize..5000)
            .prop_map(|(part, times)| part.repeat(times)),
    ]
}

proptest! {
    #[test]
    fn what_is_compressed_decompresses(input in content(), before in prop::collection::vec(any::<u8>(), 0..9)) {
        for codec in CODECS {
            let mut out = before.clone();
            codec.compress(&input, &mut out);
            prop_assert_eq!(&out[..before.len()], &before[..]);
            let output = codec.decompress(&Bytes::from(out).slice(before.len()..), input.len()).unwrap();
            prop_assert_eq!(&output[..], &input[..]);
        }
    }

    #[test]
    fn a_limit_one_below_the_content_is_an_error(input in content().prop_filter("not empty", |c| !c.is_empty())) {
        for codec in &CODECS[1..] {
            let limit = input.len() - 1;
            prop_assert_eq!(
                codec.decompress(&Bytes::from(compressed(*codec, &input)), limit),
                Err(CodecError::TooLarge { codec: *codec, limit })
            );
        }
    }

    #[test]
    fn truncation_is_an_error(input in content(), cut in any::<prop::sample::Index>()) {
        for codec in &CODECS[1..] {
            let whole = Bytes::from(compressed(*codec, &input));
            let cut = cut.index(whole.len());
            match codec.decompress(&whole.slice(..cut), MIB) {
                Err(CodecError::Corrupt { .. }) => {}
                // Cut between two chunks, which snappy's framing cannot tell from the end; and an empty stream is empty.
                Ok(output) if *codec == Compression::Snappy || cut == 0 => {
                    prop_assert!(output.len() < input.len().max(1) && input.starts_with(&output));
                }
                other => prop_assert!(false, "{codec:?} cut at {cut} of {}: {other:?}", whole.len()),
            }
        }
    }

    #[test]
    fn corruption_never_panics_or_exceeds_the_limit(
        input in content(),
        position in any::<prop::sample::Index>(),
        xor in 1u8..,
    ) {
        for codec in CODECS {
            let mut bytes = compressed(codec, &input);
            if bytes.is_empty() {
                continue;
            }
            let position = position.index(bytes.len());
            bytes[position] ^= xor;
            if let Ok(output) = codec.decompress(&Bytes::from(bytes), MIB) {
                prop_assert!(output.len() <= MIB);
                // gzip alone has a checksum of the content; ten bytes of its header tell nothing of it.
                prop_assert!(codec != Compression::Gzip || position < 10 || output == input);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let bytes = Bytes::from(bytes);
        let framed = Bytes::from([&snappy::HEADER[..], &bytes].concat());
        for codec in CODECS {
            for input in [&bytes, &framed] {
                if let Ok(output) = codec.decompress(input, 4096) {
                    prop_assert!(output.len() <= 4096);
                }
            }
        }
    }
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![0; 64 * MIB];
    for codec in &CODECS[1..] {
        let bomb = Bytes::from(compressed(*codec, &zeros));
        assert!(bomb.len() < 4 * MIB, "{codec:?}: {}", bomb.len());
        let info = allocation_counter::measure(|| {
            let refused = Err(CodecError::TooLarge { codec: *codec, limit: MIB });
            assert_eq!(codec.decompress(&bomb, MIB), refused);
        });
        // The output, which exists twice while it grows, and gzip's state; what the C libraries take is not seen here.
        assert!(info.bytes_max <= 3 << 20, "{codec:?}: {}", info.bytes_max);
    }
}

#[test]
fn a_raw_snappy_block_that_lies_about_its_length_allocates_nothing() {
    // 2³¹ as a varint, then nothing.
    let lie = Bytes::from_static(&[0x80, 0x80, 0x80, 0x80, 0x08]);
    assert!(matches!(
        Compression::Snappy.decompress(&lie, usize::MAX >> 1),
        Err(CodecError::Corrupt { codec: Compression::Snappy, .. })
    ));
}

/// Bytes that Kafka's Java client wrote.
#[test]
fn snappy_is_framed_as_snappy_java_does() {
    let content = b"\x18\0\0\0\x01\x0csdfdsf\0";
    let framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x0f\x0d\x30\x18\0\0\0\x01\x0csdfdsf\0";
    assert_eq!(compressed(Compression::Snappy, content), framed);
    let twice = [&framed[..], &framed[..]].concat();
    let output = Compression::Snappy.decompress(&Bytes::from(twice), 1000).unwrap();
    assert_eq!(output, [&content[..], &content[..]].concat());
}

#[test]
fn raw_snappy_is_read() {
    let content = b"raw snappy without a frame, long enough to be longer than the frame's header".repeat(3);
    let raw = snap::raw::Encoder::new().compress_vec(&content).unwrap();
    assert_eq!(Compression::Snappy.decompress(&Bytes::from(raw), 1000).unwrap(), content);
}

#[test]
fn snappy_of_a_newer_framing_is_refused() {
    let newer = Bytes::from_static(b"\x82SNAPPY\0\0\0\0\x02\0\0\0\x02\0\0\0\0");
    assert!(matches!(Compression::Snappy.decompress(&newer, 1000), Err(CodecError::Corrupt { .. })));
}

/// The frames that the library makes with these settings are what Kafka's clients expect.
fn library_frame(settings: &mut lz4::EncoderBuilder, input: &[u8]) -> Vec<u8> {
    let mut encoder = settings.build(Vec::new()).unwrap();
    encoder.write_all(input).unwrap();
    let (frame, finished) = encoder.finish();
    finished.unwrap();
    frame
}

proptest! {
    #[test]
    fn the_library_reads_our_lz4_frames_and_we_read_its(input in content(), times in 1usize..50) {
        let input = input.repeat(times);
        let mut output = Vec::new();
        lz4::Decoder::new(&compressed(Compression::Lz4, &input)[..]).unwrap().read_to_end(&mut output).unwrap();
        prop_assert_eq!(&output, &input);

        let as_clients_do = library_frame(
            lz4::EncoderBuilder::new()
                .block_size(lz4::BlockSize::Max64KB)
                .block_mode(lz4::BlockMode::Independent)
                .block_checksum(lz4::liblz4::BlockChecksum::NoBlockChecksum)
                .checksum(lz4::ContentChecksum::NoChecksum),
            &input,
        );
        prop_assert_eq!(&as_clients_do[..7], &compressed(Compression::Lz4, &input)[..7]);
        let with_all_there_is = library_frame(
            lz4::EncoderBuilder::new().block_size(lz4::BlockSize::Max4MB).content_size(input.len() as u64),
            &input,
        );
        for frame in [as_clients_do, with_all_there_is] {
            let frame = Bytes::from(frame);
            prop_assert_eq!(&Compression::Lz4.decompress(&frame, input.len()).unwrap()[..], &input[..]);
            if let Some(limit) = input.len().checked_sub(1) {
                let refused = Err(CodecError::TooLarge { codec: Compression::Lz4, limit });
                prop_assert_eq!(Compression::Lz4.decompress(&frame, limit), refused);
            }
        }
    }
}

/// A zstd frame need not say how much it holds, and frames may follow one another.
#[test]
fn zstd_streams_are_read() {
    let mut stream = Vec::new();
    for part in [&b"one frame, "[..], b"and another"] {
        let mut encoder = zstd::Encoder::new(&mut stream, 3).unwrap();
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap();
        Compression::Zstd.compress(b"; ", &mut stream);
    }
    let stream = Bytes::from(stream);
    assert_eq!(Compression::Zstd.decompress(&stream, 26).unwrap(), &b"one frame, ; and another; "[..]);
    let refused = Err(CodecError::TooLarge { codec: Compression::Zstd, limit: 25 });
    assert_eq!(Compression::Zstd.decompress(&stream, 25), refused);
}

#[test]
fn a_zstd_frame_that_asks_for_a_huge_window_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&vec![0; MIB]).unwrap();
    let frame = Bytes::from(encoder.finish().unwrap());
    assert!(matches!(Compression::Zstd.decompress(&frame, 2 * MIB), Err(CodecError::Corrupt { .. })));
    assert!(Compression::Zstd.decompress(&frame, 128 * MIB).is_ok());
}

#[test]
fn names_and_numbers_lead_back() {
    for codec in CODECS {
        assert_eq!(Compression::from_name(codec.name()), Some(codec));
        assert_eq!(Compression::from_id(codec as u8), Some(codec));
    }
    assert_eq!(Compression::from_id(5), None);
    assert_eq!(Compression::from_name("lzma"), None);
}

/// Codecs keep their contexts: a batch's bytes, and so the whole run, must not depend on what was compressed before.
#[test]
fn what_was_compressed_before_does_not_show() {
    let text = b"some text, not so very repetitive, 0123456789 ".repeat(3);
    let sizes = [0, 1, 10, 138, 5_000, 100, 300_000, 138, 20_000, 1_000_000, 10];
    for size in sizes {
        let input: Vec<u8> =
            (0..size).map(|i| text[i % text.len()] ^ (i / 1000 % 7).to_le_bytes()[0]).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&input).unwrap();
        assert_eq!(compressed(Compression::Gzip, &input), gzip.finish().unwrap(), "{size}");
        assert_eq!(compressed(Compression::Zstd, &input), zstd::bulk::compress(&input, 3).unwrap(), "{size}");
    }
}
