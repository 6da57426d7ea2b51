"""A careful Python loop, the rival of the first figures.

    python python_loop.py BROKERS IN OUT GROUP MODEL.onnx json|raw

Takes everything fetched at once (up to 2,000 records), decodes JSON number
arrays with pysimdjson straight into numpy (no Python float objects), runs
onnxruntime in batches of at most 256 on one thread, produces idempotently with
acks=all, and commits only what the broker has confirmed. SIGTERM ends it.
Needs confluent-kafka, pysimdjson, numpy, onnxruntime.
"""
import signal
import sys

import numpy as np
import onnxruntime as ort
import simdjson
from confluent_kafka import Consumer, Producer, TopicPartition

brokers, topic_in, topic_out, group, model, codec = sys.argv[1:]
running = True


def stop(*_):
    global running
    running = False


signal.signal(signal.SIGTERM, stop)
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
input_name = session.get_inputs()[0].name
consumer = Consumer({
    "bootstrap.servers": brokers, "group.id": group, "auto.offset.reset": "earliest",
    "enable.auto.commit": False, "fetch.wait.max.ms": 50, "session.timeout.ms": 10000,
    "max.partition.fetch.bytes": 4 << 20, "fetch.max.bytes": 16 << 20, "queued.max.messages.kbytes": 65536,
})
producer = Producer({
    "bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 1, "batch.size": 256 << 10,
    "queue.buffering.max.messages": 100000,
})
consumer.subscribe([topic_in])
parser = simdjson.Parser()
failed = []


def delivered(err, _):
    if err:
        failed.append(err)


def run(rows):
    return np.concatenate([session.run(None, {input_name: rows[i:i + 256]})[0] for i in range(0, len(rows), 256)])


print("ready", file=sys.stderr, flush=True)
while running:
    messages = [m for m in consumer.consume(2000, 0.05) if not m.error()]
    if not messages:
        continue
    rows = np.empty((len(messages), 784), np.float32)
    ids = []
    if codec == "json":
        for i, m in enumerate(messages):
            doc = parser.parse(m.value())
            rows[i] = np.frombuffer(doc["h0"].as_buffer(of_type="d"))
            ids.append(doc["id"])
            del doc
    else:
        for i, m in enumerate(messages):
            rows[i] = np.frombuffer(m.value(), np.float32)
    outputs = run(rows)
    if codec == "json":
        # float() of a float32's shortest text would be slower: 9 digits read back exactly
        for i, m in enumerate(messages):
            text = ",".join(["%.9g" % v for v in outputs[i].tolist()])
            producer.produce(topic_out, ('{"id":"%s","outputs":{"y":[%s]}}' % (ids[i], text)).encode(), m.key(), on_delivery=delivered)
    else:
        for i, m in enumerate(messages):
            producer.produce(topic_out, outputs[i].tobytes(), m.key(), on_delivery=delivered)
    producer.flush()
    if failed:
        sys.exit("produce: %s" % failed[0])
    ends = {}
    for m in messages:
        ends[m.topic(), m.partition()] = m.offset() + 1
    consumer.commit(offsets=[TopicPartition(t, p, o) for (t, p), o in ends.items()], asynchronous=True)
consumer.close()
