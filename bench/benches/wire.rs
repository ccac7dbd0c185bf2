//! What a record batch's life and a message's encoding cost.

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use trial_wire::message::{encode_request, encode_response};
use trial_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use trial_wire::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use trial_wire::messages::{FetchRequest, FetchResponse};
use trial_wire::{Batch, BatchBuilder, Compression, RequestKind, ResponseKind, Uuid};

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
/// No batch here decompresses to more.
const LIMIT: usize = 1 << 20;
const TOPIC: Uuid = Uuid::from_u128(7);
const VERSION: i16 = 17;

fn filled(compression: Compression, records: i64) -> BatchBuilder {
    let mut builder = BatchBuilder::new(compression);
    for i in 0..records {
        builder.push(i, Some(b"key-0001"), Some(&[b'v'; 100]), &[(b"trial-id", &[1; 16])]);
    }
    builder
}

fn batches(c: &mut Criterion) {
    for records in [1, 100] {
        let mut group = c.benchmark_group(format!("batch of {records}"));
        group.throughput(Throughput::Elements(records as u64));
        for codec in CODECS {
            let builder = filled(codec, records);
            let batch = builder.build();
            group.bench_function(format!("build, {}", codec.name()), |b| b.iter(|| builder.build()));
            group.bench_function(format!("check, {}", codec.name()), |b| {
                b.iter(|| Batch::parse(black_box(batch.bytes().clone())).expect("it was just built"));
            });
            group.bench_function(format!("read, {}", codec.name()), |b| {
                b.iter(|| {
                    let each = batch.for_each_record(LIMIT, |record| {
                        black_box(record.headers.find(b"trial-id"));
                    });
                    each.expect("it was just built");
                });
            });
        }
        group.finish();
    }
}

fn messages(c: &mut Criterion) {
    let records: Bytes = filled(Compression::Lz4, 1).build().bytes().clone();
    let partition = FetchPartition::default().with_fetch_offset(1_000).with_current_leader_epoch(3);
    let request = RequestKind::Fetch(
        FetchRequest::default()
            .with_session_id(7)
            .with_topics(vec![FetchTopic::default().with_topic_id(TOPIC).with_partitions(vec![partition])]),
    );
    let data = PartitionData::default().with_high_watermark(1_000).with_records(Some(records));
    let topic = FetchableTopicResponse::default().with_topic_id(TOPIC).with_partitions(vec![data]);
    let response = ResponseKind::Fetch(FetchResponse::default().with_responses(vec![topic]));
    let mut out = BytesMut::with_capacity(4_096);
    let mut group = c.benchmark_group("encode");
    group.bench_function("fetch request", |b| {
        b.iter(|| {
            out.clear();
            encode_request(black_box(&request), VERSION, &mut out).expect("the version has these fields");
        });
    });
    let mut out = BytesMut::with_capacity(4_096);
    group.bench_function("fetch response", |b| {
        b.iter(|| {
            out.clear();
            encode_response(black_box(&response), VERSION, &mut out).expect("the version has these fields");
        });
    });
    group.finish();
}

criterion_group!(benches, batches, messages);
criterion_main!(benches);
