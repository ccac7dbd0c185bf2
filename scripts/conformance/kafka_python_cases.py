"""kafka-python's cases. Argument: a bootstrap server."""

import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from case_table import Table

SERVER = sys.argv[1]
TOPIC = f"kafka-python-{time.time_ns()}"
CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
RECORDS = 500

table = Table()
case = table.case


def consumer(*topics, **config):
    defaults = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 4000}
    return KafkaConsumer(*topics, bootstrap_servers=SERVER, **(defaults | config))


@case("admin: create and list topics")
def _():
    admin = KafkaAdminClient(bootstrap_servers=SERVER)
    admin.create_topics([NewTopic(TOPIC, 3, 3)])
    assert TOPIC in admin.list_topics()
    admin.close()


for codec in CODECS:

    @case(f"produce, codec {codec}")
    def _():
        producer = KafkaProducer(bootstrap_servers=SERVER, compression_type=codec, acks="all")
        sent = [
            producer.send(TOPIC, key=b"k%d" % i, value=b"v%d" % i, headers=[("h", b"x")]) for i in range(RECORDS)
        ]
        producer.flush(30)
        for future in sent:
            future.get(10)
        producer.close()


@case("consume in a group")
def _():
    group = consumer(TOPIC, group_id=f"{TOPIC}-group", consumer_timeout_ms=10000)
    seen = 0
    for record in group:
        assert record.headers == [("h", b"x")] and record.key[1:] == record.value[1:], record
        seen += 1
        if seen == RECORDS * len(CODECS):
            break
    group.commit()
    group.close()
    assert seen == RECORDS * len(CODECS), seen


@case("a group goes on where it was")
def _():
    group = consumer(TOPIC, group_id=f"{TOPIC}-group")
    assert sum(1 for _ in group) == 0
    group.close()


@case("transactions, read_committed")
def _():
    topic = f"{TOPIC}-transactions"
    producer = KafkaProducer(bootstrap_servers=SERVER, transactional_id=TOPIC)
    producer.init_transactions()
    for value, commits in [(b"a", True), (b"b", False), (b"c", True)]:
        producer.begin_transaction()
        producer.send(topic, value).get(10)
        producer.commit_transaction() if commits else producer.abort_transaction()
    producer.close()
    values = [record.value for record in consumer(topic, isolation_level="read_committed")]
    assert values == [b"a", b"c"], values


@case("acks=0")
def _():
    topic = f"{TOPIC}-acks-0"
    producer = KafkaProducer(bootstrap_servers=SERVER, acks=0, enable_idempotence=False)
    for _ in range(1000):
        producer.send(topic, b"x")
    producer.flush(10)
    producer.close()
    seen = sum(1 for _ in consumer(topic))
    assert seen == 1000, seen


@case("offsets: beginning, end, for times")
def _():
    partitions = [TopicPartition(TOPIC, index) for index in range(3)]
    reader = consumer()
    assert sum(reader.end_offsets(partitions).values()) == RECORDS * len(CODECS)
    assert sum(reader.beginning_offsets(partitions).values()) == 0
    assert reader.offsets_for_times({partitions[0]: 0})[partitions[0]].offset == 0
    reader.close()


sys.exit(table.failed)
