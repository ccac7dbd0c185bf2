"""aiokafka's cases. Argument: bootstrap servers."""

import asyncio
import sys
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError, ProducerFenced

from case_table import Table, raises

SERVER = sys.argv[1]
RUN = f"aiokafka-{time.time_ns()}"
CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
RECORDS = 500

table = Table()


def case(name):
    """A case that is a coroutine."""
    return lambda function: table.case(name)(lambda: asyncio.run(function()))


async def topic(name, partitions=1, **config):
    named = {key.replace("_", "."): str(value) for key, value in config.items()}
    admin = AIOKafkaAdminClient(bootstrap_servers=SERVER)
    await admin.start()
    made = await admin.create_topics([NewTopic(f"{RUN}-{name}", partitions, 1, topic_configs=named)])
    await admin.close()
    await asyncio.sleep(0.5)  # until every broker knows it
    assert made.topic_errors[0][1] == 0, made
    return f"{RUN}-{name}"


class producer:
    """`async with producer(...) as writer`."""

    def __init__(self, **config):
        self.config = config

    async def __aenter__(self):
        self.writer = AIOKafkaProducer(bootstrap_servers=SERVER, **self.config)
        await self.writer.start()
        return self.writer

    async def __aexit__(self, *_):
        await self.writer.stop()


class consumer(producer):
    def __init__(self, *topics, **config):
        super().__init__(**({"auto_offset_reset": "earliest", "enable_auto_commit": False} | config))
        self.topics = topics

    async def __aenter__(self):
        self.writer = AIOKafkaConsumer(*self.topics, bootstrap_servers=SERVER, **self.config)
        await self.writer.start()
        return self.writer


async def fill(name, records=RECORDS, **config):
    async with producer(**config) as writer:
        sent = [await writer.send(name, b"v%d" % i, b"k%d" % i, headers=[("h", b"x")]) for i in range(records)]
        await asyncio.gather(*sent)


async def take(reader, count, seconds=20):
    records, end = [], time.monotonic() + seconds
    while len(records) < count and time.monotonic() < end:
        for batch in (await reader.getmany(timeout_ms=200)).values():
            records += batch
    return records


async def values(name, count, **config):
    async with consumer(name, **config) as reader:
        return [record.value for record in await take(reader, count)]


@case("admin: topics, configs, cluster")
async def _():
    name = await topic("admin", 3, retention_ms=7200000)
    admin = AIOKafkaAdminClient(bootstrap_servers=SERVER)
    await admin.start()
    assert name in await admin.list_topics()
    (found,) = await admin.describe_topics([name])
    assert len(found["partitions"]) == 3, found
    found = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    assert "7200000" in str(found[0].resources), found
    assert (await admin.describe_cluster())["brokers"]
    await admin.create_partitions({name: NewPartitions(5)})
    await admin.delete_topics([name])
    await admin.close()


for codec in CODECS:

    @case(f"produce: codec {codec or 'none'}")
    async def _():
        name = await topic(f"codec-{codec}")
        await fill(name, compression_type=codec, linger_ms=20)
        assert await values(name, RECORDS) == [b"v%d" % i for i in range(RECORDS)]


for acks in [0, 1, "all"]:

    @case(f"produce: acks={acks}")
    async def _():
        name = await topic(f"acks-{acks}")
        await fill(name, acks=acks)
        assert len(await values(name, RECORDS)) == RECORDS


@case("produce: idempotent")
async def _():
    name = await topic("idempotent")
    await fill(name, enable_idempotence=True)
    assert len(await values(name, RECORDS)) == RECORDS


@case("produce: keys, headers, nulls, timestamps")
async def _():
    name = await topic("content")
    async with producer() as writer:
        await writer.send_and_wait(name, b"value", b"key", timestamp_ms=42, headers=[("a", b"1"), ("a", b"2")])
        await writer.send_and_wait(name, None, b"key")
    async with consumer(name) as reader:
        first, second = await take(reader, 2)
    assert first.headers == (("a", b"1"), ("a", b"2")) and first.timestamp == 42, first
    assert (second.key, second.value) == (b"key", None)


@case("produce: too large records")
async def _():
    small = await topic("small", max_message_bytes=1000)
    async with producer() as writer:
        with raises(MessageSizeTooLargeError):
            await writer.send_and_wait(small, b"x" * 2000)


@case("groups: consume, commit, go on where it was")
async def _():
    name = await topic("group", 3)
    await fill(name)
    async with consumer(name, group_id=f"{RUN}-group") as member:
        assert len(await take(member, RECORDS)) == RECORDS
        await member.commit()
    async with consumer(name, group_id=f"{RUN}-group") as member:
        assert await take(member, 1, 3) == []


@case("groups: two members share")
async def _():
    name, group = await topic("shared", 4), f"{RUN}-shared"
    async with consumer(name, group_id=group) as one, consumer(name, group_id=group) as two:
        end = time.monotonic() + 40
        while (len(one.assignment()), len(two.assignment())) != (2, 2) and time.monotonic() < end:
            await asyncio.gather(take(one, 1, 0.3), take(two, 1, 0.3))
        assert (len(one.assignment()), len(two.assignment())) == (2, 2)


@case("transactions: commit, abort, read_committed")
async def _():
    name = await topic("transactions")
    async with producer(transactional_id=RUN) as writer:
        for value, commits in [(b"a", True), (b"b", False), (b"c", True)]:
            await writer.begin_transaction()
            await writer.send_and_wait(name, value)
            await (writer.commit_transaction() if commits else writer.abort_transaction())
    assert await values(name, 2, isolation_level="read_committed") == [b"a", b"c"]
    assert await values(name, 3) == [b"a", b"b", b"c"]


@case("transactions: read, process, write")
async def _():
    name, out, group = await topic("in", 3), await topic("out"), f"{RUN}-in"
    await fill(name)
    async with producer(transactional_id=group) as writer, consumer(name, group_id=group) as member:
        count, end = 0, time.monotonic() + 30
        while count < RECORDS and time.monotonic() < end:
            batches = await member.getmany(timeout_ms=500)
            if not batches:
                continue
            async with writer.transaction():
                for records in batches.values():
                    count += len(records)
                    for record in records:
                        await writer.send(out, record.value)
                offsets = {partition: records[-1].offset + 1 for partition, records in batches.items()}
                await writer.send_offsets_to_transaction(offsets, group)
        committed = [await member.committed(TopicPartition(name, index)) for index in range(3)]
    assert (count, sum(offset or 0 for offset in committed)) == (RECORDS, RECORDS), (count, committed)
    assert len(set(await values(out, RECORDS, isolation_level="read_committed"))) == RECORDS


@case("transactions: a newer producer fences the older")
async def _():
    name = await topic("fenced")
    async with producer(transactional_id=f"{RUN}-fenced") as older:
        await older.begin_transaction()
        await older.send_and_wait(name, b"old")
        async with producer(transactional_id=f"{RUN}-fenced"):
            with raises(ProducerFenced):
                await older.commit_transaction()


@case("offsets: beginning, end, for times, seek")
async def _():
    name = await topic("offsets")
    await fill(name, 20)
    partition = TopicPartition(name, 0)
    async with consumer() as reader:
        reader.assign([partition])
        assert await reader.end_offsets([partition]) == {partition: 20}
        assert await reader.beginning_offsets([partition]) == {partition: 0}
        assert (await reader.offsets_for_times({partition: 0}))[partition].offset == 0
        reader.seek(partition, 15)
        assert [record.offset for record in await take(reader, 5)] == [15, 16, 17, 18, 19]


sys.exit(table.failed)
