"""Reference outputs: python reference.py MODEL VALUES KIND OUT.f64

VALUES holds the records' values as a contender gets them: one JSON document a line (KIND
json, event, tokens, crayfish), or float32 rows of 784 one after another (raw). OUT becomes
float64 [n, m]: every output of the model in its order, flattened; batches of 256, one thread.
"""
import json
import sys

import numpy as np
import onnxruntime as ort

model, values, kind, out_file = sys.argv[1:]
FEATURES = ["f%d" % i for i in range(30)]


def row(line):
    doc = json.loads(line)
    if kind == "json":
        return [np.asarray(doc["h0"], np.float32)]
    if kind == "event":
        return [np.asarray([doc[f] for f in FEATURES], np.float32)]
    if kind == "tokens":
        return [np.asarray(doc[n], np.int64) for n in ("input_ids", "attention_mask")]
    return [np.asarray([float(x) for x in doc["dataPoint"].split(",") if x], np.float32)]


if kind == "raw":
    rows = [[r] for r in np.fromfile(values, "<f4").reshape(-1, 784)]
else:
    with open(values, "rb") as lines:
        rows = [row(line) for line in lines]
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
names = [i.name for i in session.get_inputs()]
with open(out_file, "wb") as out:
    for i in range(0, len(rows), 256):
        batch = rows[i : i + 256]
        outputs = session.run(None, {n: np.stack([r[k] for r in batch]) for k, n in enumerate(names)})
        flat = [np.asarray(o, "<f8").reshape(len(batch), -1) for o in outputs]
        out.write(np.concatenate(flat, axis=1).tobytes())
