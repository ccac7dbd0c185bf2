"""confluent-kafka's (librdkafka's) cases. Argument: bootstrap servers."""

import sys
import time

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    ElectionType,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from case_table import Table, raises

SERVER = {"bootstrap.servers": sys.argv[1]}
RUN = f"confluent-{time.time_ns()}"
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
RECORDS = 500

admin = AdminClient(SERVER)
table = Table()
case = table.case


def done(futures):
    """The results of several futures, or of the only one."""
    if isinstance(futures, dict):
        return [future.result(20) for future in futures.values()]
    return futures.result(20)


def refused(code):
    class Refused:
        def __enter__(self):
            return self

        def __exit__(self, kind, error, _):
            assert isinstance(error, KafkaException), f"wanted {code}, got {error!r}"
            assert error.args[0].code() == code, error
            return True

    return Refused()


def topic(name, partitions=1, **config):
    named = {key.replace("_", "."): str(value) for key, value in config.items()}
    done(admin.create_topics([NewTopic(f"{RUN}-{name}", partitions, config=named)]))
    time.sleep(0.5)  # until every broker knows it
    return f"{RUN}-{name}"


def eventually(ask, seconds=20):
    end = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.05)


def fill(name, records=RECORDS, **config):
    producer, errors = Producer(SERVER | {key.replace("_", "."): value for key, value in config.items()}), []
    for i in range(records):
        producer.produce(name, key=b"k%d" % i, value=b"v%d" % i, on_delivery=lambda e, _: errors.append(e) if e else None)
    assert producer.flush(30) == 0 and not errors, errors


def outcome(name, value=b"x", **config):
    """The error of one record, or none."""
    errors = []
    named = {key.replace("_", "."): value for key, value in config.items()}
    producer = Producer(SERVER | {"message.timeout.ms": 5000} | named)
    producer.produce(name, value, on_delivery=lambda error, _: errors.append(error))
    producer.flush(10)
    return errors[0].name() if errors[0] else None


def consumer(group, **config):
    named = {key.replace("_", "."): value for key, value in config.items()}
    return Consumer(
        SERVER | {"group.id": f"{RUN}-{group}", "auto.offset.reset": "earliest", "enable.auto.commit": False} | named
    )


def take(reader, count, seconds=20):
    """So many records, or as many as come in time."""
    records, end = [], time.monotonic() + seconds
    while len(records) < count and time.monotonic() < end:
        records += [record for record in reader.consume(count - len(records), 0.5) if not record.error()]
    return records


def values(name, count, **config):
    reader = consumer("values", **config)
    reader.assign([TopicPartition(name, 0, OFFSET_BEGINNING)])
    read = [record.value() for record in take(reader, count)]
    reader.close()
    return read


@case("admin: create, list, describe topics")
def _():
    name = topic("admin", 3)
    assert name in admin.list_topics(timeout=10).topics
    (found,) = done(admin.describe_topics(TopicCollection([name])))
    assert len(found.partitions) == 3 and not found.is_internal, found
    assert len(admin.describe_cluster().result(10).nodes) > 0


@case("admin: errors of topics")
def _():
    name = topic("taken")
    for code, new in [
        (KafkaError.TOPIC_ALREADY_EXISTS, NewTopic(name, 1)),
        (KafkaError.TOPIC_EXCEPTION, NewTopic("a b", 1)),
        (KafkaError.INVALID_REPLICATION_FACTOR, NewTopic(f"{RUN}-wide", 1, 9)),
        (KafkaError.INVALID_CONFIG, NewTopic(f"{RUN}-odd", 1, config={"retention.ms": "soon"})),
    ]:
        with refused(code):
            done(admin.create_topics([new]))
    with refused(KafkaError.UNKNOWN_TOPIC_OR_PART):
        done(admin.delete_topics([f"{RUN}-missing"]))
    with refused(KafkaError.INVALID_PARTITIONS):
        done(admin.create_partitions([NewPartitions(name, 1)]))


@case("admin: more partitions, delete")
def _():
    name = topic("grown")
    done(admin.create_partitions([NewPartitions(name, 6)]))
    eventually(lambda: len(admin.list_topics(name, 10).topics[name].partitions) == 6)
    done(admin.delete_topics([name]))
    eventually(lambda: name not in admin.list_topics(timeout=10).topics)


@case("admin: configs of topics and brokers")
def _():
    name = topic("configs", retention_ms=7200000)
    (found,) = done(admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name)]))
    assert found["retention.ms"].value == "7200000" and found["cleanup.policy"].value == "delete"
    change = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND)
    done(
        admin.incremental_alter_configs(
            [ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[change])]
        )
    )

    def policy():
        (found,) = done(admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name)]))
        return found["cleanup.policy"].value

    eventually(lambda: policy() == "delete,compact")
    broker = str(next(iter(admin.list_topics(timeout=10).brokers)))
    (found,) = done(admin.describe_configs([ConfigResource(ConfigResource.Type.BROKER, broker)]))
    assert found["node.id"].value == broker and found["node.id"].is_read_only


@case("admin: AlterConfigs, not incremental")
def _():
    name = topic("set-at-once", retention_ms=7200000)
    resource = ConfigResource(ConfigResource.Type.TOPIC, name, set_config={"segment.ms": "3600000"})
    done(admin.alter_configs([resource]))

    def found():
        (found,) = done(admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name)]))
        return found["segment.ms"].value, found["retention.ms"].is_default

    eventually(lambda: found() == ("3600000", True))


for codec in CODECS:

    @case(f"produce: codec {codec}")
    def _():
        name = topic(f"codec-{codec}")
        fill(name, compression_type=codec, linger_ms=20)
        assert values(name, RECORDS) == [b"v%d" % i for i in range(RECORDS)]


for acks in ["0", "1", "all"]:

    @case(f"produce: acks={acks}")
    def _():
        name = topic(f"acks-{acks}")
        fill(name, acks=acks)
        assert len(values(name, RECORDS)) == RECORDS


@case("produce: keys, headers, nulls, empty, timestamps")
def _():
    name = topic("content")
    producer = Producer(SERVER | {"enable.idempotence": True})
    producer.produce(name, b"value", b"key", timestamp=42, headers=[("a", b"1"), ("a", b"2"), ("n", None)])
    producer.produce(name, None, b"key")
    producer.produce(name, b"")
    producer.flush(10)
    reader = consumer("content")
    reader.assign([TopicPartition(name, 0, 0)])
    first, second, third = take(reader, 3)
    reader.close()
    assert first.headers() == [("a", b"1"), ("a", b"2"), ("n", None)] and first.timestamp() == (1, 42)
    assert (second.key(), second.value(), third.key(), third.value()) == (b"key", None, None, b"")


@case("produce: large records, too large ones")
def _():
    name, small = topic("large"), topic("small", max_message_bytes=1000)
    assert outcome(name, b"x" * 900_000) is None
    assert len(values(name, 1)[0]) == 900_000
    assert outcome(small, b"x" * 2000) == "MSG_SIZE_TOO_LARGE"
    assert outcome(small, b"fits") is None


@case("produce: an invalid name, an unknown partition")
def _():
    assert outcome("not a topic!") == "TOPIC_EXCEPTION"
    name, errors = topic("one-partition"), []
    producer = Producer(SERVER | {"message.timeout.ms": 5000})
    producer.produce(name, b"x", partition=7, on_delivery=lambda error, _: errors.append(error.name()))
    producer.flush(10)
    assert errors == ["_UNKNOWN_PARTITION"], errors


@case("produce: a topic comes into being")
def _():
    assert outcome(f"{RUN}-made") is None


for protocol in ["classic", "consumer"]:

    @case(f"groups: two members, commits (group.protocol={protocol})")
    def _():
        name = topic(f"shared-{protocol}", 4)
        fill(name)
        members = [consumer(protocol, group_protocol=protocol) for _ in range(2)]
        for member in members:
            member.subscribe([name])
        seen, end = set(), time.monotonic() + 40
        while time.monotonic() < end:
            for member in members:
                seen |= {record.value() for record in member.consume(500, 0.1) if not record.error()}
            if len(seen) == RECORDS and [len(member.assignment()) for member in members] == [2, 2]:
                break
        assert len(seen) == RECORDS, len(seen)
        assert [len(member.assignment()) for member in members] == [2, 2]
        (found,) = done(admin.describe_consumer_groups([f"{RUN}-{protocol}"]))
        assert found.state == ConsumerGroupState.STABLE and len(found.members) == 2, found
        for member in members:
            member.commit(offsets=[TopicPartition(p.topic, p.partition, 7) for p in member.assignment()], asynchronous=False)
            member.close()
        reader = consumer(protocol)
        committed = reader.committed([TopicPartition(name, index) for index in range(4)], 10)
        assert [partition.offset for partition in committed] == [7] * 4, committed
        reader.close()

    @case(f"groups: it goes on where it was (group.protocol={protocol})")
    def _():
        name = topic(f"goes-on-{protocol}")
        fill(name)
        for expected in [RECORDS, 0]:
            member = consumer(f"goes-on-{protocol}", group_protocol=protocol, enable_auto_commit=True)
            member.subscribe([name])
            assert len(take(member, RECORDS, 20 if expected else 4)) == expected
            member.close()

    @case(f"groups: a static member (group.protocol={protocol})")
    def _():
        name = topic(f"static-{protocol}")
        fill(name, 10)
        for _ in range(2):
            member = consumer(f"static-{protocol}", group_protocol=protocol, group_instance_id="one")
            member.subscribe([name])
            assert len(take(member, 10)) == 10
            member.close()

    @case(f"groups: subscription by pattern (group.protocol={protocol})")
    def _():
        fill(topic(f"pattern-{protocol}-a"), 10)
        member = consumer(f"pattern-{protocol}", group_protocol=protocol)
        member.subscribe([f"^{RUN}-pattern-{protocol}-.*"])
        assert len(take(member, 10)) == 10
        member.close()


@case("groups: cooperative-sticky")
def _():
    name = topic("cooperative", 4)
    fill(name)
    members = [consumer("cooperative", partition_assignment_strategy="cooperative-sticky") for _ in range(2)]
    end = time.monotonic() + 30
    for member in members:
        member.subscribe([name])
    while [len(member.assignment()) for member in members] != [2, 2] and time.monotonic() < end:
        for member in members:
            member.consume(500, 0.1)
    assert [len(member.assignment()) for member in members] == [2, 2]
    for member in members:
        member.close()


@case("groups: list, describe, alter and list offsets, delete")
def _():
    name, group = topic("listed"), f"{RUN}-listed"
    fill(name, 10)
    member = consumer("listed")
    member.subscribe([name])
    take(member, 10)
    with refused(KafkaError.NON_EMPTY_GROUP):
        done(admin.delete_consumer_groups([group]))
    listed = admin.list_consumer_groups(states={ConsumerGroupState.STABLE}, types={ConsumerGroupType.CLASSIC})
    assert group in [each.group_id for each in listed.result(10).valid]
    member.close()
    at = ConsumerGroupTopicPartitions(group, [TopicPartition(name, 0, 4)])
    done(admin.alter_consumer_group_offsets([at]))
    (found,) = done(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
    assert found.topic_partitions[0].offset == 4, found
    (description,) = done(admin.describe_consumer_groups([group]))
    assert description.state == ConsumerGroupState.EMPTY
    done(admin.delete_consumer_groups([group]))
    with refused(KafkaError.GROUP_ID_NOT_FOUND):
        done(admin.delete_consumer_groups([group]))


@case("transactions: commit, abort, read_committed")
def _():
    name = topic("transactions")
    producer = Producer(SERVER | {"transactional.id": RUN})
    producer.init_transactions(20)
    for value, commits in [(b"a", True), (b"b", False), (b"c", True)]:
        producer.begin_transaction()
        producer.produce(name, value)
        producer.flush(10)
        producer.commit_transaction(20) if commits else producer.abort_transaction(20)
    assert values(name, 2, isolation_level="read_committed") == [b"a", b"c"]
    assert values(name, 3, isolation_level="read_uncommitted") == [b"a", b"b", b"c"]


for protocol in ["classic", "consumer"]:

    @case(f"transactions: read, process, write (group.protocol={protocol})")
    def _():
        name, out = topic(f"in-{protocol}", 3), topic(f"out-{protocol}")
        fill(name)
        producer = Producer(SERVER | {"transactional.id": f"{RUN}-{protocol}"})
        producer.init_transactions(20)
        reader = consumer(f"pipeline-{protocol}", group_protocol=protocol)
        reader.subscribe([name])
        count, end = 0, time.monotonic() + 30
        while count < RECORDS and time.monotonic() < end:
            records = take(reader, 200, 2)
            if not records:
                continue
            producer.begin_transaction()
            for record in records:
                producer.produce(out, record.value())
            positions = reader.position(reader.assignment())
            producer.send_offsets_to_transaction(positions, reader.consumer_group_metadata(), 10)
            producer.commit_transaction(20)
            count += len(records)
        committed = sum(p.offset for p in reader.committed([TopicPartition(name, index) for index in range(3)], 10))
        reader.close()
        assert (count, committed) == (RECORDS, RECORDS), (count, committed)
        assert len(set(values(out, RECORDS, isolation_level="read_committed"))) == RECORDS


@case("transactions: a newer producer fences the older")
def _():
    name = topic("fenced")
    older = Producer(SERVER | {"transactional.id": f"{RUN}-fenced"})
    older.init_transactions(20)
    older.begin_transaction()
    older.produce(name, b"old")
    older.flush(10)
    newer = Producer(SERVER | {"transactional.id": f"{RUN}-fenced"})
    newer.init_transactions(20)
    with raises(KafkaException) as failure:
        older.commit_transaction(20)
    assert failure.error.args[0].code() == KafkaError._FENCED, failure.error


@case("offsets: watermarks, for times, of the admin client")
def _():
    name = topic("offsets")
    producer = Producer(SERVER)
    for at in [1000, 3000, 2000]:
        producer.produce(name, b"x", timestamp=at)
        producer.flush(10)
    partition = TopicPartition(name, 0)
    reader = consumer("offsets")
    assert reader.get_watermark_offsets(partition, 10) == (0, 3)
    (found,) = reader.offsets_for_times([TopicPartition(name, 0, 1500)], 10)
    assert found.offset == 1, found
    reader.close()
    for spec, offset in [
        (OffsetSpec.earliest(), 0),
        (OffsetSpec.latest(), 3),
        (OffsetSpec.max_timestamp(), 1),
        (OffsetSpec.for_timestamp(500), 0),
    ]:
        (found,) = done(admin.list_offsets({partition: spec}, isolation_level=IsolationLevel.READ_COMMITTED))
        assert found.offset == offset, (spec, found)


@case("consume: from an offset, from the end, beyond it")
def _():
    name = topic("seek")
    fill(name, 20)
    reader = consumer("seek")
    reader.assign([TopicPartition(name, 0, 15)])
    assert [record.offset() for record in take(reader, 5)] == [15, 16, 17, 18, 19]
    reader.seek(TopicPartition(name, 0, 500))
    assert [record.offset() for record in take(reader, 1)] == [0]
    reader.close()
    reader = consumer("seek", auto_offset_reset="error")
    reader.assign([TopicPartition(name, 0, 500)])
    end, errors = time.monotonic() + 20, []
    while not errors and time.monotonic() < end:
        errors = [record.error().name() for record in reader.consume(10, 1.0) if record.error()]
    assert errors[:1] == ["_AUTO_OFFSET_RESET"], errors
    reader.assign([TopicPartition(name, 0, OFFSET_END)])
    assert take(reader, 1, 2) == []
    reader.close()


@case("admin: delete records")
def _():
    name = topic("deleted-records")
    fill(name, 20)
    (found,) = done(admin.delete_records([TopicPartition(name, 0, 8)]))
    assert found.low_watermark == 8, found
    assert values(name, 1) == [b"v8"]
    with refused(KafkaError.OFFSET_OUT_OF_RANGE):
        done(admin.delete_records([TopicPartition(name, 0, 99)]))


@case("admin: SCRAM credentials")
def _():
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192)
    done(admin.alter_user_scram_credentials([UserScramCredentialUpsertion(RUN, info, b"secret")]))
    (found,) = done(admin.describe_user_scram_credentials([RUN]))
    assert found.scram_credential_infos[0].iterations == 8192, found
    done(admin.alter_user_scram_credentials([UserScramCredentialDeletion(RUN, ScramMechanism.SCRAM_SHA_512)]))


@case("admin: ACLs without an authorizer")
def _():
    allow = (AclOperation.READ, AclPermissionType.ALLOW)
    acl = AclBinding(ResourceType.TOPIC, RUN, ResourcePatternType.LITERAL, "User:alice", "*", *allow)
    with refused(KafkaError.SECURITY_DISABLED):
        done(admin.create_acls([acl]))


@case("admin: elect leaders")
def _():
    partition = TopicPartition(topic("elected"), 0)
    found = admin.elect_leaders(ElectionType.PREFERRED, [partition]).result(20)
    assert found[partition].code() == KafkaError.ELECTION_NOT_NEEDED, found


sys.exit(table.failed)
