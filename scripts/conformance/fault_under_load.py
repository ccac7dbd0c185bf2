"""Produces and consumes with librdkafka while the leader of a partition loses power. Argument: bootstrap servers.

CONTROL is where the cluster takes orders (`trial serve --control`).
"""

import json
import os
import sys
import threading
import time
import urllib.request

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

SERVER = {"bootstrap.servers": sys.argv[1]}
TOPIC, PARTITIONS = "orders", 3
LOAD_SECONDS, FAULT_AT_SECONDS = 30, 5
FAULT = {"power_off": {"leader_of": f"{TOPIC}-0"}, "for": "15s"}
RECORDS_PER_SECOND = 1000

acknowledged, failed, seen = set(), [], set()
stop = threading.Event()


def delivered(error, record):
    if error:
        failed.append(error)
    else:
        acknowledged.add(int(record.value()))


def strike():
    time.sleep(FAULT_AT_SECONDS)
    request = urllib.request.Request(os.environ["CONTROL"] + "/fault", json.dumps(FAULT).encode())
    print("the leader loses power:", urllib.request.urlopen(request, timeout=10).read().decode().strip(), flush=True)


def read_in_group():
    member = Consumer(SERVER | {"group.id": "billing", "auto.offset.reset": "earliest"})
    member.subscribe([TOPIC])
    while not stop.is_set():
        seen.update(int(record.value()) for record in member.consume(1000, 0.2) if not record.error())
    member.close()


def everything():
    """What is in the topic, from its beginning to its end."""
    reader = Consumer(SERVER | {"group.id": "audit", "enable.auto.commit": False})
    ends = {p: reader.get_watermark_offsets(TopicPartition(TOPIC, p), 30)[1] for p in range(PARTITIONS)}
    reader.assign([TopicPartition(TOPIC, p, 0) for p in range(PARTITIONS)])
    values, patience = [], time.monotonic() + 60
    while any(p.offset < ends[p.partition] for p in reader.position(reader.assignment())):
        values += [int(record.value()) for record in reader.consume(10_000, 0.5) if not record.error()]
        assert time.monotonic() < patience, "the topic cannot be read to its end"
    reader.close()
    return values


admin = AdminClient(SERVER)
for made in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 3)]).values():
    made.result(20)
threads = [threading.Thread(target=strike), threading.Thread(target=read_in_group)]
for thread in threads:
    thread.start()

producer = Producer(SERVER | {"acks": "all", "enable.idempotence": True, "linger.ms": 5})
began = time.monotonic()
sent = 0
while time.monotonic() - began < LOAD_SECONDS:
    while sent < (time.monotonic() - began) * RECORDS_PER_SECOND:
        producer.produce(TOPIC, str(sent), partition=sent % PARTITIONS, on_delivery=delivered)
        sent += 1
    producer.poll(0.005)
left = producer.flush(120)
found = everything()
patience = time.monotonic() + 60
while not acknowledged <= seen and time.monotonic() < patience:
    time.sleep(0.1)
stop.set()
for thread in threads:
    thread.join()
lost, twice = acknowledged - set(found), len(found) - len(set(found))
print(f"{sent} sent, {len(acknowledged)} acknowledged, {len(failed)} failed, {left} in doubt; {len(found)} in the topic")
print(f"{len(lost)} lost, {twice} twice; {len(acknowledged - seen)} not seen by the group")
sys.exit(bool(lost or twice or acknowledged - seen or not acknowledged))
