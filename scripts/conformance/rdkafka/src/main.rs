//! The rdkafka crate's cases. Argument: bootstrap servers.

use std::collections::BTreeSet;
use std::future::Future;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage, Timestamp};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const RECORDS: usize = 300;
const TIMEOUT: Duration = Duration::from_secs(20);

struct Cases {
    servers: String,
    run: String,
    failed: bool,
}

macro_rules! same {
    ($wanted:expr, $got:expr) => {
        let (wanted, got) = (&$wanted, &$got);
        if wanted != got {
            return Err(format!("wanted {wanted:?}, got {got:?} (line {})", line!()).into());
        }
    };
}

impl Cases {
    fn config(&self, pairs: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers);
        for (key, value) in pairs {
            config.set(*key, *value);
        }
        config
    }

    fn admin(&self) -> Fallible<AdminClient<DefaultClientContext>> {
        Ok(self.config(&[]).create()?)
    }

    fn producer(&self, pairs: &[(&str, &str)]) -> Fallible<FutureProducer> {
        Ok(self.config(pairs).create()?)
    }

    fn consumer(&self, group: &str, pairs: &[(&str, &str)]) -> Fallible<StreamConsumer> {
        let mut config = self.config(&[("auto.offset.reset", "earliest"), ("enable.auto.commit", "false")]);
        config.set("group.id", format!("{}-{group}", self.run));
        for (key, value) in pairs {
            config.set(*key, *value);
        }
        Ok(config.create()?)
    }

    async fn topic(&self, name: &str, partitions: i32) -> Fallible<String> {
        let name = format!("{}-{name}", self.run);
        let new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        for made in self.admin()?.create_topics([&new], &AdminOptions::new()).await? {
            made.map_err(|(_, code)| KafkaError::AdminOp(code))?;
        }
        // until every broker knows it
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(name)
    }

    async fn fill(&self, topic: &str, pairs: &[(&str, &str)]) -> Fallible<()> {
        let producer = self.producer(pairs)?;
        let texts: Vec<_> = (0..RECORDS).map(|i| (format!("k{i}"), format!("v{i}"))).collect();
        let sent: Vec<_> = texts
            .iter()
            .map(|(key, value)| producer.send(FutureRecord::to(topic).key(key).payload(value), TIMEOUT))
            .collect();
        for one in sent {
            one.await.map_err(|(error, _)| error)?;
        }
        Ok(())
    }

    async fn case<F: Future<Output = Fallible<()>>>(&mut self, name: &str, body: F) {
        let result = match tokio::time::timeout(Duration::from_secs(60), body).await {
            Ok(Ok(())) => "ok".to_owned(),
            Ok(Err(error)) => format!("FAIL: {error}").replace('\n', " "),
            Err(_) => "FAIL: still not done after 60 s".to_owned(),
        };
        self.failed |= result != "ok";
        println!("{name:56} {result}");
    }
}

async fn take(consumer: &StreamConsumer, count: usize, patience: Duration) -> Fallible<Vec<OwnedMessage>> {
    let mut records = Vec::new();
    while records.len() < count {
        match tokio::time::timeout(patience, consumer.recv()).await {
            Ok(record) => records.push(record?.detach()),
            Err(_) => break,
        }
    }
    Ok(records)
}

fn assign(consumer: &StreamConsumer, topic: &str, offset: Offset) -> Fallible<()> {
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, offset)?;
    Ok(consumer.assign(&partitions)?)
}

fn text(record: &OwnedMessage) -> String {
    String::from_utf8_lossy(record.payload().unwrap_or_default()).into_owned()
}

async fn topics(c: &Cases) -> Fallible<()> {
    let (admin, options) = (c.admin()?, AdminOptions::new());
    let name = c.topic("admin", 2).await?;
    let again = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
    let refused = admin.create_topics([&again], &options).await?;
    same!(Err((name.clone(), RDKafkaErrorCode::TopicAlreadyExists)), refused[0]);
    admin.create_partitions([&NewPartitions::new(&name, 4)], &options).await?.remove(0).map_err(|e| e.1)?;
    let resource = ResourceSpecifier::Topic(&name);
    let change = AlterConfig::new(resource).set("max.message.bytes", "5000");
    admin.alter_configs([&change], &options).await?.remove(0).map_err(|e| e.1)?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let found = admin.describe_configs([&resource], &options).await?.remove(0)?;
    let value = found.entry_map().get("max.message.bytes").and_then(|entry| entry.value.clone());
    same!(Some("5000".to_owned()), value);
    let known = admin.inner().fetch_metadata(Some(&name), TIMEOUT)?;
    same!(4, known.topics()[0].partitions().len());
    admin.delete_topics(&[&name], &options).await?.remove(0).map_err(|e| e.1)?;
    Ok(())
}

async fn codec(c: &Cases, codec: &str) -> Fallible<()> {
    let name = c.topic(&format!("codec-{codec}"), 1).await?;
    c.fill(&name, &[("compression.type", codec), ("linger.ms", "20"), ("enable.idempotence", "true")])
        .await?;
    let reader = c.consumer("codec", &[])?;
    assign(&reader, &name, Offset::Beginning)?;
    let values: Vec<_> = take(&reader, RECORDS, TIMEOUT).await?.iter().map(text).collect();
    let wanted: Vec<_> = (0..RECORDS).map(|i| format!("v{i}")).collect();
    same!(wanted, values);
    Ok(())
}

async fn content(c: &Cases) -> Fallible<()> {
    let name = c.topic("content", 1).await?;
    let producer = c.producer(&[])?;
    let headers = OwnedHeaders::new()
        .insert(Header { key: "a", value: Some("1") })
        .insert(Header { key: "none", value: None::<&str> });
    let full = FutureRecord::to(&name).key("key").payload("value").timestamp(42).headers(headers);
    producer.send(full, TIMEOUT).await.map_err(|(error, _)| error)?;
    let tombstone: FutureRecord<'_, str, str> = FutureRecord::to(&name).key("key");
    producer.send(tombstone, TIMEOUT).await.map_err(|(error, _)| error)?;
    let reader = c.consumer("content", &[])?;
    assign(&reader, &name, Offset::Beginning)?;
    let records = take(&reader, 2, TIMEOUT).await?;
    same!(Timestamp::CreateTime(42), records[0].timestamp());
    let headers = records[0].headers().ok_or("no headers")?;
    same!((Some(&b"1"[..]), None), (headers.get(0).value, headers.get(1).value));
    same!(None, records[1].payload());
    Ok(())
}

async fn group(c: &Cases, protocol: &str) -> Fallible<()> {
    let name = c.topic(&format!("group-{protocol}"), 3).await?;
    c.fill(&name, &[]).await?;
    for expected in [RECORDS, 0] {
        let member = c.consumer(protocol, &[("group.protocol", protocol)])?;
        member.subscribe(&[&name])?;
        let records = take(&member, RECORDS, Duration::from_secs(if expected > 0 { 20 } else { 4 })).await?;
        same!(expected, records.len());
        if expected > 0 {
            same!(RECORDS, records.iter().map(text).collect::<BTreeSet<_>>().len());
            member.commit_consumer_state(CommitMode::Sync)?;
        }
    }
    Ok(())
}

async fn transactions(c: &Cases) -> Fallible<()> {
    let name = c.topic("transactions", 1).await?;
    let producer = c.producer(&[("transactional.id", &c.run)])?;
    producer.init_transactions(TIMEOUT)?;
    for value in ["a", "b", "c"] {
        producer.begin_transaction()?;
        let record: FutureRecord<'_, str, str> = FutureRecord::to(&name).payload(value);
        producer.send(record, TIMEOUT).await.map_err(|(error, _)| error)?;
        if value == "b" {
            producer.abort_transaction(TIMEOUT)?
        } else {
            producer.commit_transaction(TIMEOUT)?
        }
    }
    for (level, wanted) in [("read_committed", vec!["a", "c"]), ("read_uncommitted", vec!["a", "b", "c"])] {
        let reader = c.consumer(level, &[("isolation.level", level)])?;
        assign(&reader, &name, Offset::Beginning)?;
        let values: Vec<_> = take(&reader, wanted.len(), TIMEOUT).await?.iter().map(text).collect();
        same!(wanted, values);
    }
    Ok(())
}

async fn pipeline(c: &Cases) -> Fallible<()> {
    let (from, to) = (c.topic("in", 3).await?, c.topic("out", 1).await?);
    c.fill(&from, &[]).await?;
    let producer = c.producer(&[("transactional.id", &format!("{}-pipeline", c.run))])?;
    producer.init_transactions(TIMEOUT)?;
    let member = c.consumer("pipeline", &[])?;
    member.subscribe(&[&from])?;
    let mut done = 0;
    while done < RECORDS {
        let records = take(&member, RECORDS - done, Duration::from_secs(2)).await?;
        if records.is_empty() {
            continue;
        }
        producer.begin_transaction()?;
        for record in &records {
            let copy: FutureRecord<'_, str, [u8]> =
                FutureRecord::to(&to).payload(record.payload().unwrap_or_default());
            producer.send(copy, TIMEOUT).await.map_err(|(error, _)| error)?;
        }
        let metadata = member.group_metadata().ok_or("no metadata of the group")?;
        producer.send_offsets_to_transaction(&member.position()?, &metadata, TIMEOUT)?;
        producer.commit_transaction(TIMEOUT)?;
        done += records.len();
    }
    let committed = member.committed(TIMEOUT)?;
    let sum: i64 =
        committed.elements().iter().filter_map(|one| one.offset().to_raw()).filter(|at| *at > 0).sum();
    same!(RECORDS as i64, sum);
    let reader = c.consumer("out", &[("isolation.level", "read_committed")])?;
    assign(&reader, &to, Offset::Beginning)?;
    let values: BTreeSet<_> = take(&reader, RECORDS, TIMEOUT).await?.iter().map(text).collect();
    same!(RECORDS, values.len());
    Ok(())
}

async fn offsets(c: &Cases) -> Fallible<()> {
    let name = c.topic("offsets", 1).await?;
    let producer = c.producer(&[])?;
    for at in [1000, 3000, 2000] {
        let record: FutureRecord<'_, str, str> = FutureRecord::to(&name).payload("x").timestamp(at);
        producer.send(record, TIMEOUT).await.map_err(|(error, _)| error)?;
    }
    let reader = c.consumer("offsets", &[])?;
    same!((0, 3), reader.fetch_watermarks(&name, 0, TIMEOUT)?);
    let mut times = TopicPartitionList::new();
    times.add_partition_offset(&name, 0, Offset::Offset(1500))?;
    let found = reader.offsets_for_times(times, TIMEOUT)?;
    same!(Offset::Offset(1), found.elements()[0].offset());
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9092".to_owned());
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let cases = Cases { servers, run: format!("rdkafka-{millis}"), failed: false };
    let mut table = Cases { servers: String::new(), run: String::new(), failed: false };
    table.case("admin: topics, partitions, configs", topics(&cases)).await;
    for name in ["none", "gzip", "snappy", "lz4", "zstd"] {
        table.case(&format!("produce and consume: codec {name}"), codec(&cases, name)).await;
    }
    table.case("produce: keys, headers, nulls, timestamps", content(&cases)).await;
    for protocol in ["classic", "consumer"] {
        table.case(&format!("groups: go on where they were ({protocol})"), group(&cases, protocol)).await;
    }
    table.case("transactions: commit, abort, read_committed", transactions(&cases)).await;
    table.case("transactions: read, process, write", pipeline(&cases)).await;
    table.case("offsets: watermarks, for times", offsets(&cases)).await;
    if table.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
