"""confluent-kafka's (librdkafka's) cases. Argument: a bootstrap server."""

import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

from case_table import Table

SERVER = {"bootstrap.servers": sys.argv[1]}
TOPIC = f"confluent-kafka-{time.time_ns()}"
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
RECORDS = 500
PARTITIONS = [TopicPartition(TOPIC, index) for index in range(3)]

table = Table()
case = table.case


def all_done(futures):
    return [future.result(20) for future in futures.values()]


def consumer(group, **config):
    named = {key.replace("_", "."): value for key, value in config.items()}
    return Consumer(SERVER | {"group.id": f"{TOPIC}-{group}", "auto.offset.reset": "earliest"} | named)


def take(reader, count, seconds=20):
    """So many records, or as many as come in time."""
    records, end = [], time.monotonic() + seconds
    while len(records) < count and time.monotonic() < end:
        records += [record for record in reader.consume(500, 1.0) if not record.error()]
    return records


@case("admin: create, list, describe")
def _():
    admin = AdminClient(SERVER)
    all_done(admin.create_topics([NewTopic(TOPIC, 3, 3)]))
    assert TOPIC in admin.list_topics(timeout=10).topics
    (configs,) = all_done(admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, TOPIC)]))
    assert configs["cleanup.policy"].value == "delete"
    assert admin.describe_cluster().result(10).nodes


for codec in CODECS:

    @case(f"produce, codec {codec}")
    def _():
        producer = Producer(SERVER | {"compression.type": codec, "enable.idempotence": True})
        errors = []
        for i in range(RECORDS):
            producer.produce(
                TOPIC,
                key=b"k%d" % i,
                value=b"v%d" % i,
                headers=[("h", b"x")],
                on_delivery=lambda error, _: errors.append(error) if error else None,
            )
        assert producer.flush(30) == 0 and not errors, errors


for protocol in ["classic", "consumer"]:

    @case(f"consume in a group, group.protocol={protocol}")
    def _():
        group = consumer(protocol, group_protocol=protocol, enable_auto_commit=False)
        group.subscribe([TOPIC])
        records = take(group, RECORDS * len(CODECS))
        assert len(records) == RECORDS * len(CODECS), len(records)
        assert all(record.headers() == [("h", b"x")] for record in records)
        group.commit(asynchronous=False)
        committed = sum(partition.offset for partition in group.committed(PARTITIONS, 10))
        assert committed == len(records), committed
        group.close()


@case("transactions, read_committed")
def _():
    topic = f"{TOPIC}-transactions"
    producer = Producer(SERVER | {"transactional.id": TOPIC})
    producer.init_transactions(20)
    for value, commits in [(b"a", True), (b"b", False), (b"c", True)]:
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(10)
        producer.commit_transaction(20) if commits else producer.abort_transaction(20)
    reader = consumer("committed", isolation_level="read_committed")
    reader.assign([TopicPartition(topic, 0, 0)])
    values = [record.value() for record in take(reader, 2)]
    reader.close()
    assert values == [b"a", b"c"], values


@case("read, process and write in a transaction")
def _():
    producer = Producer(SERVER | {"transactional.id": f"{TOPIC}-pipeline"})
    producer.init_transactions(20)
    reader = consumer("pipeline", enable_auto_commit=False)
    reader.subscribe([TOPIC])
    done, end = 0, time.monotonic() + 30
    while done < RECORDS * len(CODECS) and time.monotonic() < end:
        records = take(reader, 500, 2)
        if not records:
            continue
        producer.begin_transaction()
        for record in records:
            producer.produce(f"{TOPIC}-out", record.value())
        positions = reader.position(reader.assignment())
        producer.send_offsets_to_transaction(positions, reader.consumer_group_metadata(), 10)
        producer.commit_transaction(20)
        done += len(records)
    committed = sum(partition.offset for partition in reader.committed(PARTITIONS, 10))
    reader.close()
    assert (done, committed) == (RECORDS * len(CODECS),) * 2, (done, committed)


@case("groups: list, describe, delete")
def _():
    admin, group = AdminClient(SERVER), f"{TOPIC}-classic"
    assert group in [listed.group_id for listed in admin.list_consumer_groups().result(10).valid]
    (description,) = all_done(admin.describe_consumer_groups([group]))
    all_done(admin.delete_consumer_groups([group]))
    return description.state.name


@case("offsets: watermarks, for times")
def _():
    reader = consumer("offsets")
    low, high = reader.get_watermark_offsets(TopicPartition(TOPIC, 0), 10)
    assert low == 0 < high
    (found,) = reader.offsets_for_times([TopicPartition(TOPIC, 0, 0)], 10)
    assert found.offset == 0
    reader.close()


@case("an invalid topic name is an error")
def _():
    producer, errors = Producer(SERVER | {"message.timeout.ms": 5000}), []
    producer.produce("not a topic!", b"x", on_delivery=lambda error, _: errors.append(error))
    producer.flush(10)
    assert errors[0].name() == "TOPIC_EXCEPTION", errors


@case("admin: create partitions, delete topic")
def _():
    admin = AdminClient(SERVER)
    all_done(admin.create_partitions([NewPartitions(TOPIC, 6)]))
    time.sleep(0.5)
    assert len(admin.list_topics(TOPIC, 10).topics[TOPIC].partitions) == 6
    all_done(admin.delete_topics([TOPIC]))


sys.exit(table.failed)
