//! The bytes of every API and version, compared with those of a codec that somebody else made.

use kafka_wire::KafkaMessage;
use kafka_wire_core::{ApiVersion, DecodeLimits};

use super::*;
use crate::message::tests::each_api;

/// `kafka-wire` is generated from Kafka's schemas on its own: what it makes of a message's bytes must be the same bytes again.
/// Nothing if it does not know the version.
fn by_another_codec<M: KafkaMessage>(version: i16, bytes: &Bytes) -> Option<Bytes> {
    let version = ApiVersion::new(version);
    M::supports(version).then(|| {
        let decoded = M::decode_from_bytes(bytes.clone(), version, DecodeLimits::default());
        decoded.expect("we wrote it").encode_to_bytes(version).expect("it was read")
    })
}

macro_rules! other_codec {
    ($($api:ident: $request:ident, $response:ident;)*) => {
        fn by_the_other_codec(direction: Direction, api: ApiKey, version: i16, bytes: &Bytes) -> Option<Bytes> {
            match (direction, api) {
                $(
                    (Direction::Request, ApiKey::$api) => {
                        by_another_codec::<kafka_wire::$request>(version, bytes)
                    }
                    (Direction::Response, ApiKey::$api) => {
                        by_another_codec::<kafka_wire::$response>(version, bytes)
                    }
                )*
                _ => unreachable!("every API of the table is listed"),
            }
        }
    };
}

each_api!(other_codec);

#[test]
fn another_codec_reads_and_writes_the_same_bytes() {
    let mut compared = 0;
    for (direction, api, version) in everything() {
        let context = format!("{direction:?} {api:?} {version}");
        for seed in 0..20 {
            let filling = match seed {
                0 => Filling::Ones,
                _ => Filling::Random { random: Random(seed), nulls: false },
            };
            let sample = direction.sample(api, version, filling);
            let ours = direction.decode(api, version, sample).unwrap_or_else(|| panic!("{context}"));
            let ours = ours.encode(version);
            if let Some(theirs) = by_the_other_codec(direction, api, version, &ours) {
                assert_eq!(theirs, ours, "{context}");
                compared += 1;
            }
        }
    }
    assert!(compared > 5000, "{compared}");
}
