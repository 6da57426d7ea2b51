"""A careful Python loop; README.md beside it says what its speed comes from.

    python python_loop.py BROKERS IN OUT GROUP MODEL.onnx json|raw|event|tokens [THREADS]

THREADS is read and not used: Python has one interpreter lock, so more cores are
more processes, which the caller starts. SIGTERM ends it with exit 0.
"""
import gc
import os
import signal
import sys
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's thread pool only takes memory here

import numpy as np
import onnxruntime as ort
import orjson
import simdjson
from confluent_kafka import Consumer, KafkaException, Producer

ROWS = 256  # per model run
TAKE = 2048  # records per turn: all that is there, up to this
CONFIRM = 1.0  # s between commits while outputs never run dry
UNDERWAY = 100_000  # outputs given to the producer and not confirmed, at most
FEATURES = ["f%d" % i for i in range(30)]


def session(model):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Codec:
    """Decodes messages into arrays, one [n, ...] per model input, and rows of output into values."""

    def __init__(self, inputs):
        self.inputs = inputs
        self.parser = simdjson.Parser()

    def json(self, messages):
        rows, ids = np.empty((len(messages), 784), np.float32), []
        parse, buffer = self.parser.parse, np.frombuffer
        for row, m in zip(rows, messages):
            doc = parse(m.value())
            row[:] = buffer(doc["h0"].as_buffer(of_type="d"))  # no Python floats
            ids.append(doc["id"])
            del doc  # the parser is free for the next message
        return ids, [rows]

    def raw(self, messages):
        rows = np.frombuffer(b"".join([m.value() for m in messages]), np.float32)
        return None, [rows.reshape(len(messages), 784)]

    def event(self, messages):
        rows, ids = [], []
        parse = self.parser.parse
        for m in messages:
            doc = parse(m.value())
            rows.append([doc[name] for name in FEATURES])
            ids.append(doc["id"])
            del doc
        return ids, [np.array(rows, np.float32)]

    def tokens(self, messages):
        rows, ids = [np.empty((len(messages), 32), np.int64) for _ in self.inputs], []
        parse, buffer = self.parser.parse, np.frombuffer
        for i, m in enumerate(messages):
            doc = parse(m.value())
            for row, name in zip(rows, self.inputs):
                row[i] = buffer(doc[name].as_buffer(of_type="i"), np.int64)
            ids.append(doc["id"])
            del doc
        return ids, rows


def texts(array):
    """The JSON text of each row, floats in the shortest form that reads back exactly, by one call for all rows."""
    text = orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY)
    return text[2:-2].split(b"],[") if array.ndim > 1 else text[1:-1].split(b",")


def encode(payload, ids, outputs):
    """One value per row; outputs are arrays [n, ...] in the model's order."""
    if payload == "raw":
        data = outputs[0].tobytes()
        return [data[i:i + 40] for i in range(0, len(data), 40)]
    ids = [orjson.dumps(i) for i in ids]
    if payload == "event":
        form = b'{"id":%b,"outputs":{"label":%b,"probabilities":[%b]}}'
        return [form % row for row in zip(ids, texts(outputs[0]), texts(outputs[1]))]
    name = b"y" if payload == "json" else b"embedding"
    form = b'{"id":%b,"outputs":{"' + name + b'":[%b]}}'
    return [form % row for row in zip(ids, texts(outputs[0]))]


class Positions:
    """Commits a position only when the broker has confirmed every output before it."""

    def __init__(self, consumer, producer):
        self.consumer, self.producer = consumer, producer
        self.assigned, self.worked = [], []
        self.pending, self.committed = False, time.monotonic()

    def on_assign(self, _, partitions):
        self.assigned = partitions

    def on_revoke(self, *_):
        self.producer.flush()
        try:
            self.commit(asynchronous=False)
        except KafkaException as err:  # too late: the new owner does it again
            print("commit:", err, file=sys.stderr)
        self.assigned, self.worked = [], []

    def on_lost(self, *_):
        self.assigned, self.worked = [], []

    def note(self):
        """After a turn: everything consumed so far has been given to the producer."""
        self.worked = self.consumer.position(self.assigned)
        self.pending = True

    def confirm(self):
        """Commits when no output is on its way; that comes by itself except under a backlog: then once a second."""
        self.producer.poll(0)  # raises what was not delivered
        late = time.monotonic() - self.committed > CONFIRM or len(self.producer) > UNDERWAY
        if self.pending and (late or not len(self.producer)):
            self.producer.flush()
            self.commit()

    def commit(self, asynchronous=True):
        offsets = [p for p in self.worked if p.offset >= 0]
        if offsets:
            self.consumer.commit(offsets=offsets, asynchronous=asynchronous)
        self.pending, self.committed = False, time.monotonic()


def delivered(err, _):
    if err:  # only failures are reported
        raise KafkaException(err)


def main():
    brokers, topic_in, topic_out, group, model, payload = sys.argv[1:7]
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    ort_session = session(model)
    inputs = [i.name for i in ort_session.get_inputs()]
    outputs = [o.name for o in ort_session.get_outputs()]
    decode = getattr(Codec(inputs), payload)
    consumer = Consumer({
        "bootstrap.servers": brokers, "group.id": group, "auto.offset.reset": "earliest", "session.timeout.ms": 10000,
        "enable.auto.commit": False, "fetch.min.bytes": 1, "fetch.wait.max.ms": 50, "max.partition.fetch.bytes": 4 << 20,
        "fetch.max.bytes": 16 << 20, "enable.auto.offset.store": False,
        # Without the second, the client does not fetch for a whole second whenever its queue was full.
        "queued.max.messages.kbytes": 16 << 10, "fetch.queue.backoff.ms": 2,
    })
    producer = Producer({
        "bootstrap.servers": brokers, "enable.idempotence": True, "acks": "all", "linger.ms": 1, "batch.size": 256 << 10,
        "batch.num.messages": 100000, "queue.buffering.max.messages": 2 * UNDERWAY, "compression.type": "none",
        "delivery.report.only.error": True, "on_delivery": delivered,
    })
    positions = Positions(consumer, producer)
    consumer.subscribe([topic_in], on_assign=positions.on_assign, on_revoke=positions.on_revoke, on_lost=positions.on_lost)
    gc.disable()  # nothing here is cyclic; the collector would walk thousands of messages in vain
    print("ready", file=sys.stderr, flush=True)
    while not stopped:
        messages = consumer.consume(1, 0.05)  # waits for one; then takes what is there
        if messages:
            messages += consumer.consume(TAKE, 0)
            for bad in [m for m in messages if m.error()]:
                raise KafkaException(bad.error())
            ids, rows = decode(messages)
            runs = [
                ort_session.run(outputs, {name: r[i:i + ROWS] for name, r in zip(inputs, rows)})
                for i in range(0, len(messages), ROWS)
            ]
            values = encode(payload, ids, [np.concatenate(parts) for parts in zip(*runs)])
            batch = [{"value": value, "key": m.key()} for m, value in zip(messages, values)]
            if producer.produce_batch(topic_out, batch) != len(batch):
                raise KafkaException(next(m["_error"] for m in batch if "_error" in m))
            positions.note()
        positions.confirm()
    producer.flush()
    positions.commit(asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    main()
