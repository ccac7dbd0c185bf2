mod other_codec;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestKind, ResponseKind};
use proptest::prelude::*;

use super::*;
use crate::api::{APIS, Api};
use crate::message::{decode_request, decode_response, encode_request, encode_response};

/// What a decoded message may take of memory for each of its bytes. The worst are small structures with a tagged field each.
const EXPANSION_MAX: u64 = 128;
/// And whatever its size: the error (with a backtrace, if the environment asks for that), and the counters of shared bytes.
const CONSTANT_MAX: u64 = 16 << 10;

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n).unwrap()).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// What a sample is filled with.
#[derive(Clone)]
enum Filling {
    /// Two elements in every array, every tag that there is, and every byte a 1: the sample is then as an encoder writes it.
    Ones,
    /// Anything that the shape allows.
    Random { random: Random, nulls: bool },
    /// Nothing, but `count` elements in the arrays that lie within `depth` others; a tagged field in each structure if `tagged`.
    Full { depth: usize, count: usize, tagged: bool },
}

/// Writes what a shape demands.
struct Sample {
    out: Vec<u8>,
    version: i16,
    flexible: bool,
    filling: Filling,
}

fn put_uvarint(out: &mut Vec<u8>, value: usize) {
    crate::primitive::put_uvarint(out, u32::try_from(value).unwrap());
}

impl Sample {
    fn of(body: &'static Body, version: i16, flexible: bool, filling: Filling) -> Bytes {
        let mut sample = Sample { out: Vec::new(), version, flexible, filling };
        sample.body(body);
        Bytes::from(sample.out)
    }

    fn body(&mut self, body: &'static Body) {
        for (min, max, shape) in body.fields {
            if (*min..=*max).contains(&self.version) {
                self.shape(shape);
            }
        }
        if self.flexible {
            self.tagged_fields(body);
        }
    }

    fn tagged_fields(&mut self, body: &'static Body) {
        let mut tags = Vec::new();
        for (tag, min, max, shape) in body.tags {
            let absent = match &mut self.filling {
                Filling::Ones => false,
                Filling::Random { random, .. } => random.one_in(2),
                Filling::Full { .. } => true,
            };
            if (*min..=*max).contains(&self.version) && !absent {
                let before = std::mem::take(&mut self.out);
                self.shape(shape);
                tags.push((usize::try_from(*tag).unwrap(), std::mem::replace(&mut self.out, before)));
            }
        }
        match &mut self.filling {
            Filling::Random { random, .. } if random.clone().one_in(8) => {
                tags.push((100 + random.below(1000), vec![7; random.below(200)]));
            }
            Filling::Full { tagged: true, .. } => tags.push((100, Vec::new())),
            _ => {}
        }
        put_uvarint(&mut self.out, tags.len());
        for (tag, value) in tags {
            put_uvarint(&mut self.out, tag);
            put_uvarint(&mut self.out, value.len());
            self.out.extend(value);
        }
    }

    fn shape(&mut self, shape: &'static Shape) {
        match shape {
            Shape::Fixed(size) => {
                for _ in 0..*size {
                    let byte = match &mut self.filling {
                        Filling::Ones => 1,
                        Filling::Random { random, .. } => random.next().to_be_bytes()[0],
                        Filling::Full { .. } => 0,
                    };
                    self.out.push(byte);
                }
            }
            Shape::Str => match self.claim(1, 5) {
                Some(len) => {
                    self.length(Some(len), 2);
                    self.out.resize(self.out.len() + len, b'x');
                }
                None => self.length(None, 2),
            },
            Shape::Bytes => {
                let len = self.claim(3, 200);
                self.length(len, 4);
                self.out.resize(self.out.len() + len.unwrap_or(0), 1);
            }
            Shape::Array(body) => self.array(|sample| sample.body(body)),
            Shape::ArrayOf(element) => self.array(|sample| sample.shape(element)),
            Shape::Struct(body) => self.body(body),
            Shape::Nullable(body) => match self.claim(1, 2) {
                Some(_) => {
                    self.out.push(1);
                    self.body(body);
                }
                None => self.out.push(0xff),
            },
        }
    }

    fn array(&mut self, mut element: impl FnMut(&mut Sample)) {
        let count = match self.filling {
            Filling::Full { depth: 0, count, .. } => Some(count),
            Filling::Full { depth, .. } => Some(usize::from(depth != usize::MAX)),
            _ => self.claim(2, 4),
        };
        self.length(count, 4);
        let outside = self.filling.clone();
        if let Filling::Full { depth, .. } = &mut self.filling {
            *depth = depth.checked_sub(1).unwrap_or(usize::MAX);
        }
        (0..count.unwrap_or(0)).for_each(|_| element(self));
        if let Filling::Full { .. } = outside {
            self.filling = outside;
        }
    }

    /// A length or count below `max`, or null.
    fn claim(&mut self, ones: usize, max: usize) -> Option<usize> {
        match &mut self.filling {
            Filling::Ones => Some(ones),
            Filling::Random { random, nulls } => {
                let null = *nulls && random.one_in(12);
                (!null).then(|| random.below(max))
            }
            Filling::Full { .. } => Some(0),
        }
    }

    fn length(&mut self, length: Option<usize>, size: usize) {
        match (length, self.flexible) {
            (None, true) => self.out.push(0),
            (None, false) => self.out.resize(self.out.len() + size, 0xff),
            (Some(length), true) => put_uvarint(&mut self.out, length + 1),
            (Some(length), false) => {
                let bytes = u32::try_from(length).unwrap().to_be_bytes();
                self.out.extend_from_slice(&bytes[4 - size..]);
            }
        }
    }
}

/// Requests or responses: what the tests do with both.
#[derive(Clone, Copy, Debug)]
enum Direction {
    Request,
    Response,
}

#[derive(Debug, PartialEq)]
enum Decoded {
    Request(RequestKind),
    Response(ResponseKind),
}

impl Direction {
    fn shape(self, api: ApiKey) -> &'static Body {
        let shape = match self {
            Direction::Request => requests::shape(api),
            Direction::Response => responses::shape(api),
        };
        shape.unwrap_or_else(|| panic!("{api:?} has no shape as a {self:?}"))
    }

    fn sample(self, api: ApiKey, version: i16, filling: Filling) -> Bytes {
        Sample::of(self.shape(api), version, api.request_header_version(version) >= 2, filling)
    }

    fn decode(self, api: ApiKey, version: i16, bytes: Bytes) -> Option<Decoded> {
        match self {
            Direction::Request => decode_request(api, version, bytes).ok().map(Decoded::Request),
            Direction::Response => decode_response(api, version, bytes).ok().map(Decoded::Response),
        }
    }
}

impl Decoded {
    fn encode(&self, version: i16) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Decoded::Request(body) => encode_request(body, version, &mut out),
            Decoded::Response(body) => encode_response(body, version, &mut out),
        }
        .unwrap();
        out.freeze()
    }
}

fn everything() -> impl Iterator<Item = (Direction, ApiKey, i16)> {
    let versions = |api: &'static Api| api.versions.min..=api.versions.max;
    let both = |(api, version)| [(Direction::Request, api, version), (Direction::Response, api, version)];
    APIS.iter().flat_map(move |api| versions(api).map(|version| (api.key, version))).flat_map(both)
}

/// Decodes; fails if that takes more memory than is allowed.
fn decode_frugally(direction: Direction, api: ApiKey, version: i16, bytes: Bytes) -> Option<Decoded> {
    let length = u64::try_from(bytes.len()).unwrap();
    let mut decoded = None;
    let info = allocation_counter::measure(|| decoded = direction.decode(api, version, bytes.clone()));
    assert!(
        info.bytes_max <= EXPANSION_MAX * length + CONSTANT_MAX,
        "{direction:?} {api:?} {version}: {} bytes of memory for {length}: {bytes:?}",
        info.bytes_max
    );
    decoded
}

/// Equal, but that a quota which is no number equals itself.
fn is_same(again: &Option<Decoded>, decoded: &Decoded) -> bool {
    again.as_ref() == Some(decoded) || format!("{again:?}") == format!("{:?}", Some(decoded))
}

#[test]
fn shapes_are_those_that_kafka_protocol_reads_and_writes() {
    for (direction, api, version) in everything() {
        let sample = direction.sample(api, version, Filling::Ones);
        let context = format!("{direction:?} {api:?} {version}");
        let decoded = direction.decode(api, version, sample.clone()).unwrap_or_else(|| panic!("{context}"));
        assert_eq!(decoded.encode(version), sample, "{context}: {decoded:?}");
        for cut in 0..sample.len() {
            let cut_off = direction.decode(api, version, sample.slice(..cut));
            assert_eq!(cut_off, None, "{context} at {cut}");
        }
    }
}

/// Also the walk must not take more steps than there are bytes: an element without a byte would let a count of four billion
/// pass.
#[test]
fn every_element_takes_a_byte() {
    fn check(body: &'static Body, version: i16, flexible: bool) {
        let present = |min: i16, max: i16| (min..=max).contains(&version);
        let fields = body.fields.iter().filter(|(min, max, _)| present(*min, *max)).map(|(.., shape)| shape);
        let tags = body.tags.iter().filter(|(_, min, max, _)| present(*min, *max)).map(|(.., shape)| shape);
        for shape in fields.chain(tags) {
            match shape {
                Shape::Array(element) => {
                    let mut empty = Sample {
                        out: Vec::new(),
                        version,
                        flexible,
                        filling: Filling::Random { random: Random(0), nulls: false },
                    };
                    empty.body(element);
                    assert!(!empty.out.is_empty());
                    check(element, version, flexible);
                }
                Shape::Struct(body) | Shape::Nullable(body) => check(body, version, flexible),
                Shape::Fixed(_) | Shape::Str | Shape::Bytes | Shape::ArrayOf(_) => {}
            }
        }
    }
    for (direction, api, version) in everything() {
        check(direction.shape(api), version, api.request_header_version(version) >= 2);
    }
}

/// Puts what hostile bytes are made of somewhere into good ones.
fn corrupt(bytes: &Bytes, random: &mut Random) -> Bytes {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        let rest = bytes.split_off(at);
        let skipped = random.below(6).min(rest.len());
        match random.below(7) {
            0 => bytes.extend_from_slice(&[0x7f, 0xff, 0xff, 0xff]),
            1 => bytes.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]),
            2 => bytes.extend_from_slice(&[0x7f, 0xff]),
            3 => bytes.extend_from_slice(&[0xff; 4]),
            4 => bytes.push(random.next().to_be_bytes()[0]),
            5 => bytes.resize(bytes.len() + random.below(40), 0),
            _ => continue,
        }
        bytes.extend_from_slice(&rest[skipped..]);
    }
    Bytes::from(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn random_messages_of_every_api_and_version_round_trip(seed in any::<u64>()) {
        for (direction, api, version) in everything() {
            let context = format!("{direction:?} {api:?} {version}");
            let filled = |nulls| {
                let filling = Filling::Random { random: Random(seed), nulls };
                decode_frugally(direction, api, version, direction.sample(api, version, filling))
            };
            // A null where there must be none is the one thing that a shape does not know.
            let decoded = filled(true).or_else(|| filled(false));
            let decoded = decoded.unwrap_or_else(|| panic!("{context} is refused"));
            let encoded = decoded.encode(version);
            let again = direction.decode(api, version, encoded.clone());
            prop_assert!(is_same(&again, &decoded), "{}: {:?}", context, encoded);
        }
    }

    #[test]
    fn corrupt_messages_of_every_api_and_version_are_decoded_frugally_or_refused(seed in any::<u64>()) {
        let mut random = Random(seed);
        for (direction, api, version) in everything() {
            let filling = Filling::Random { random: random.clone(), nulls: true };
            let bytes = corrupt(&direction.sample(api, version, filling), &mut random);
            if let Some(decoded) = decode_frugally(direction, api, version, bytes) {
                let again = direction.decode(api, version, decoded.encode(version));
                prop_assert!(is_same(&again, &decoded), "{:?} {:?} {}: {:?}", direction, api, version, decoded);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_decoded_frugally_or_refused(
        bytes in prop::collection::vec(prop_oneof![Just(0u8), 0u8..4, any::<u8>()], 0..120),
    ) {
        let bytes = Bytes::from(bytes);
        for (direction, api, version) in everything() {
            decode_frugally(direction, api, version, bytes.clone());
        }
    }
}

/// Many of the smallest elements, which is where the memory goes.
#[test]
fn full_arrays_of_the_smallest_elements_are_decoded_frugally() {
    for (direction, api, version) in everything() {
        for (depth, tagged) in [(0, false), (1, false), (2, false), (0, true), (1, true), (2, true)] {
            let filling = Filling::Full { depth, count: 5000, tagged };
            let bytes = direction.sample(api, version, filling);
            let decoded = decode_frugally(direction, api, version, bytes);
            assert!(decoded.is_some(), "{direction:?} {api:?} {version}");
        }
    }
}

#[test]
fn too_many_elements_are_refused_before_they_are_decoded() {
    let refused = |count: usize| {
        let mut body = u32::try_from(count).unwrap().to_be_bytes().to_vec();
        body.resize(body.len() + 2 * count, 0);
        check_request(ApiKey::Metadata, 1, &body)
    };
    assert_eq!(refused(ELEMENTS_MAX), Ok(()));
    let length = i64::try_from(ELEMENTS_MAX + 1).unwrap();
    assert_eq!(refused(ELEMENTS_MAX + 1), Err(ReadError::Length { position: 0, length }));
}

/// Found by fuzzing: such a tag was read as −1, and the message that had it could not be read again after it was encoded.
#[test]
fn a_tag_that_is_no_positive_int32_is_refused() {
    let heartbeat = |tag: [u8; 5]| [&[0; 6][..], &[1], &tag, &[0]].concat();
    assert_eq!(check_response(ApiKey::Heartbeat, 4, &heartbeat([0xff, 0xff, 0xff, 0xff, 0x07])), Ok(()));
    let refused = Err(ReadError::Varint { position: 7 });
    assert_eq!(check_response(ApiKey::Heartbeat, 4, &heartbeat([0xff, 0xff, 0xff, 0xff, 0x0f])), refused);
}

#[test]
fn an_api_that_we_do_not_speak_reaches_no_decoder() {
    let bytes = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]);
    for api in ApiKey::iter() {
        for version in -1..20 {
            if crate::api::lookup(api).is_some_and(|line| line.supports(version)) {
                continue;
            }
            for error in [
                decode_request(api, version, bytes.clone()).unwrap_err(),
                decode_response(api, version, bytes.clone()).unwrap_err(),
            ] {
                assert_eq!((error.api, error.version), (api, version));
                assert_eq!(error.what, "it is not one that we speak");
            }
        }
    }
}

/// The corpus has a seed of every API's oldest and newest version. One that is missing or old is written, and the test fails
/// once, so that it is looked at and committed.
#[test]
fn the_seeds_of_bodies_are_in_the_corpus() {
    let mut written = Vec::new();
    for (direction, api, version) in everything() {
        let line = crate::api::lookup(api).unwrap();
        if version != line.versions.min && version != line.versions.max {
            continue;
        }
        let name = format!("{direction:?}").to_lowercase();
        let directory = format!("{}/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::create_dir_all(&directory).unwrap();
        let body = direction.sample(api, version, Filling::Ones);
        let seed = [&(api as i16).to_be_bytes()[..], &version.to_be_bytes(), &body].concat();
        let file = format!("{directory}/{api:?}-{version}");
        if std::fs::read(&file).ok().as_deref() != Some(&seed[..]) {
            std::fs::write(&file, seed).unwrap();
            written.push(file);
        }
    }
    assert!(written.is_empty(), "these were missing or old, and are written now: {written:?}");
}
