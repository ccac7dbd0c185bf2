"""kafka-python's cases. Argument: bootstrap servers."""

import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import (
    InvalidReplicationFactorError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    ProducerFencedError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)

from case_table import Table, raises

SERVER = sys.argv[1].split(",")
RUN = f"kafka-python-{time.time_ns()}"
CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
RECORDS = 500

admin = KafkaAdminClient(bootstrap_servers=SERVER)
table = Table()
case = table.case


def consumer(*topics, **config):
    defaults = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 4000}
    return KafkaConsumer(*topics, bootstrap_servers=SERVER, **(defaults | config))


def topic(name, partitions=1, **config):
    named = {key.replace("_", "."): str(value) for key, value in config.items()}
    admin.create_topics([NewTopic(f"{RUN}-{name}", partitions, 1, topic_configs=named)])
    time.sleep(0.5)  # until every broker knows it
    return f"{RUN}-{name}"


def fill(name, records=RECORDS, **config):
    producer = KafkaProducer(bootstrap_servers=SERVER, **config)
    sent = [
        producer.send(name, key=b"k%d" % i, value=b"v%d" % i, headers=[("h", b"x")], partition=0)
        for i in range(records)
    ]
    producer.flush(30)
    for future in sent:
        future.get(10)
    producer.close()


def values(name, **config):
    reader = consumer(name, **config)
    read = [record.value for record in reader]
    reader.close()
    return read


@case("admin: create, list, describe, delete topics")
def _():
    name = topic("admin", 3)
    assert name in admin.list_topics()
    (found,) = admin.describe_topics([name])
    assert len(found["partitions"]) == 3, found
    admin.create_partitions({name: NewPartitions(5)})
    time.sleep(0.5)
    (found,) = admin.describe_topics([name])
    assert len(found["partitions"]) == 5, found
    admin.delete_topics([name])
    time.sleep(0.5)
    assert name not in admin.list_topics()


@case("admin: errors of topics")
def _():
    name = topic("taken")
    for error, new in [
        (TopicAlreadyExistsError, NewTopic(name, 1, 1)),
        (InvalidTopicError, NewTopic("a b", 1, 1)),
        (InvalidReplicationFactorError, NewTopic(f"{RUN}-wide", 1, 9)),
    ]:
        with raises(error):
            admin.create_topics([new])
    with raises(UnknownTopicOrPartitionError):
        admin.delete_topics([f"{RUN}-missing"])


@case("admin: cluster and configs")
def _():
    assert admin.describe_cluster()["brokers"]
    name = topic("configs", retention_ms=7200000)
    found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    assert "7200000" in str(found), found


for codec in CODECS:

    @case(f"produce: codec {codec or 'none'}")
    def _():
        name = topic(f"codec-{codec}")
        fill(name, compression_type=codec, acks="all", linger_ms=20)
        assert values(name) == [b"v%d" % i for i in range(RECORDS)]


for acks in [0, 1, "all"]:

    @case(f"produce: acks={acks}")
    def _():
        name = topic(f"acks-{acks}")
        fill(name, acks=acks, enable_idempotence=acks == "all")
        assert len(values(name)) == RECORDS


@case("produce: keys, headers, nulls, empty, timestamps")
def _():
    name = topic("content")
    producer = KafkaProducer(bootstrap_servers=SERVER)
    producer.send(name, b"value", b"key", headers=[("a", b"1"), ("a", b"2")], timestamp_ms=42).get(10)
    producer.send(name, None, b"key").get(10)
    assert producer.send(name, b"").get(10).offset == 2
    producer.close()
    first, second, third = consumer(name)
    assert first.headers == [("a", b"1"), ("a", b"2")] and first.timestamp == 42, first
    assert (second.key, second.value, third.key, third.value) == (b"key", None, None, b"")


@case("produce: large records, too large ones")
def _():
    name, small = topic("large"), topic("small", max_message_bytes=1000)
    producer = KafkaProducer(bootstrap_servers=SERVER)
    producer.send(name, b"x" * 900_000).get(10)
    with raises(MessageSizeTooLargeError):
        producer.send(small, b"x" * 2000).get(10)
    producer.close()
    assert len(values(name)[0]) == 900_000


@case("produce: a topic comes into being")
def _():
    producer = KafkaProducer(bootstrap_servers=SERVER)
    assert producer.send(f"{RUN}-made", b"x").get(10).offset == 0
    producer.close()


@case("groups: consume, commit, go on where it was")
def _():
    name = topic("group")
    fill(name)
    member = consumer(name, group_id=f"{RUN}-group", consumer_timeout_ms=10000)
    seen = 0
    for record in member:
        assert record.headers == [("h", b"x")] and record.key[1:] == record.value[1:], record
        seen += 1
        if seen == RECORDS:
            break
    member.commit()
    member.close()
    assert seen == RECORDS, seen
    member = consumer(name, group_id=f"{RUN}-group")
    assert sum(1 for _ in member) == 0
    member.close()


@case("groups: two members share")
def _():
    name = topic("shared", 4)
    members = [consumer(name, group_id=f"{RUN}-shared") for _ in range(2)]
    end = time.monotonic() + 40
    while [len(member.assignment()) for member in members] != [2, 2] and time.monotonic() < end:
        for member in members:
            member.poll(200)
    assert [len(member.assignment()) for member in members] == [2, 2]
    for member in members:
        member.close()


@case("groups: list, describe, offsets, delete")
def _():
    name, group = topic("listed"), f"{RUN}-listed"
    fill(name, 10)
    member = consumer(name, group_id=group, enable_auto_commit=False)
    partition = TopicPartition(name, 0)
    for _ in range(50):
        member.poll(200)
        if partition in member.assignment() and member.position(partition) == 10:
            break
    member.commit({partition: OffsetAndMetadata(4, "note", -1)})
    assert member.committed(partition) == 4
    assert group in str(admin.list_groups() if hasattr(admin, "list_groups") else admin.list_consumer_groups())
    member.close()
    assert "Empty" in str((admin.describe_groups if hasattr(admin, "describe_groups") else admin.describe_consumer_groups)([group]))
    (admin.delete_groups if hasattr(admin, "delete_groups") else admin.delete_consumer_groups)([group])


@case("transactions: commit, abort, read_committed")
def _():
    name = topic("transactions")
    producer = KafkaProducer(bootstrap_servers=SERVER, transactional_id=RUN)
    producer.init_transactions()
    for value, commits in [(b"a", True), (b"b", False), (b"c", True)]:
        producer.begin_transaction()
        producer.send(name, value).get(10)
        producer.commit_transaction() if commits else producer.abort_transaction()
    producer.close()
    assert values(name, isolation_level="read_committed") == [b"a", b"c"]
    assert values(name) == [b"a", b"b", b"c"]


@case("transactions: offsets are part of one")
def _():
    name, group = topic("in"), f"{RUN}-in"
    fill(name, 10)
    producer = KafkaProducer(bootstrap_servers=SERVER, transactional_id=group)
    producer.init_transactions()
    partition = TopicPartition(name, 0)
    reader = consumer(group_id=group)
    for offset, commits in [(5, False), (3, True)]:
        producer.begin_transaction()
        producer.send_offsets_to_transaction({partition: OffsetAndMetadata(offset, "", -1)}, group)
        producer.commit_transaction() if commits else producer.abort_transaction()
    assert reader.committed(partition) == 3
    producer.close()
    reader.close()


@case("transactions: a newer producer fences the older")
def _():
    name = topic("fenced")
    older, newer = (KafkaProducer(bootstrap_servers=SERVER, transactional_id=f"{RUN}-fenced") for _ in range(2))
    older.init_transactions()
    older.begin_transaction()
    older.send(name, b"old").get(10)
    newer.init_transactions()
    with raises(ProducerFencedError):
        older.commit_transaction()
    newer.close()


@case("offsets: beginning, end, for times, seek")
def _():
    name = topic("offsets")
    fill(name, 20)
    partition = TopicPartition(name, 0)
    reader = consumer()
    reader.assign([partition])
    assert reader.end_offsets([partition]) == {partition: 20}
    assert reader.beginning_offsets([partition]) == {partition: 0}
    assert reader.offsets_for_times({partition: 0})[partition].offset == 0
    reader.seek(partition, 15)
    assert [record.offset for record in reader] == [15, 16, 17, 18, 19]
    reader.close()


@case("offsets: none, out of range")
def _():
    name = topic("reset")
    fill(name, 10)
    partition = TopicPartition(name, 0)
    reader = consumer(auto_offset_reset="none", group_id=f"{RUN}-none")
    reader.assign([partition])
    with raises(NoOffsetForPartitionError, OffsetOutOfRangeError):
        for _ in range(20):
            reader.poll(500)
    reader.seek(partition, 500)
    with raises(OffsetOutOfRangeError):
        for _ in range(20):
            reader.poll(500)
    reader.close()


sys.exit(table.failed)
