//! Loads a cluster with librdkafka, and prints one number.
//!
//! Arguments: bootstrap servers, topic, and one of
//! `produce SIZE RECORDS` (MB/s, acks=all), `consume SIZE RECORDS` (MB/s), `sync SIZE RECORDS` (median of the round trips of
//! records that are sent one after the other with acks=all, in µs).

use std::collections::BTreeSet;
use std::error::Error;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{
    BaseRecord, DefaultProducerContext, FutureProducer, FutureRecord, Producer, ThreadedProducer,
};
use rdkafka::{Offset, TopicPartitionList};

const PARTITIONS: i32 = 6;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [servers, topic, what, size, records] = args.as_slice() else {
        return Err("arguments: SERVERS TOPIC produce|consume|sync SIZE RECORDS".into());
    };
    let (size, records): (usize, usize) = (size.parse()?, records.parse()?);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("acks", "all");
    let began;
    match what.as_str() {
        "produce" => {
            create(&config, topic)?;
            config.set("linger.ms", "10").set("batch.size", "1000000").set("batch.num.messages", "10000");
            config.set("queue.buffering.max.kbytes", "262144").set("enable.idempotence", "true");
            let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
            began = Instant::now();
            send(&producer, topic, size, records)?;
            producer.flush(Duration::from_secs(120))?;
        }
        "consume" => {
            config.set("group.id", "load").set("fetch.message.max.bytes", "4194304");
            // By default it stops asking for a partition whenever it is 100,000 records or 64 MiB ahead, and asks again when a
            // Fetch of the others that has nothing left to get has waited for half a second.
            config.set("queued.min.messages", "10000000").set("queued.max.messages.kbytes", "1048576");
            let consumer: BaseConsumer = config.create()?;
            let mut partitions = TopicPartitionList::new();
            for index in 0..PARTITIONS {
                partitions.add_partition_offset(topic, index, Offset::Offset(0))?;
            }
            consumer.assign(&partitions)?;
            let next = || -> Result<_, Box<dyn Error>> {
                Ok(consumer.poll(Duration::from_secs(30)).ok_or("nothing more comes")??)
            };
            // Once all partitions have come, from the beginning again: the client may wait for a second until it has connections.
            let mut come = BTreeSet::new();
            while come.len() < PARTITIONS as usize {
                come.insert(next()?.partition());
            }
            consumer.seek_partitions(partitions, Duration::from_secs(30))?;
            began = Instant::now();
            let mut bytes = 0;
            while bytes < size * records {
                bytes += next()?.payload_len();
            }
        }
        "sync" => {
            create(&config, topic)?;
            config.set("linger.ms", "0");
            let producer: FutureProducer = config.create()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let payload = vec![b'x'; size];
            let mut times = Vec::new();
            for _ in 0..records {
                let sent = Instant::now();
                let record = FutureRecord::<(), [u8]>::to(topic).payload(&payload);
                runtime.block_on(producer.send(record, Duration::ZERO)).map_err(|(error, _)| error)?;
                times.push(sent.elapsed().as_micros());
            }
            times.sort_unstable();
            println!("{}", times[times.len() / 2]);
            return Ok(());
        }
        other => return Err(format!("{other}: produce, consume or sync").into()),
    }
    println!("{:.1}", (size * records) as f64 / 1e6 / began.elapsed().as_secs_f64());
    Ok(())
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    size: usize,
    records: usize,
) -> Result<(), KafkaError> {
    let payload: Vec<u8> =
        (0..size).map(|i| b"the quick brown fox jumps over the lazy dog "[i % 44]).collect();
    for _ in 0..records {
        while let Err((error, _)) = producer.send(BaseRecord::<(), [u8]>::to(topic).payload(&payload)) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// Makes the topic with as many replicas as the cluster gives by default, and waits until it has leaders.
fn create(config: &ClientConfig, topic: &str) -> Result<(), Box<dyn Error>> {
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(-1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for made in runtime.block_on(admin.create_topics([&new], &AdminOptions::new()))? {
        made.map_err(|(_, code)| KafkaError::AdminOp(code))?;
    }
    std::thread::sleep(Duration::from_secs(1));
    Ok(())
}
