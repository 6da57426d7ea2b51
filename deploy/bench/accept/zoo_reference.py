"""Records and what each must give: python zoo_reference.py ZOO_DIR COUNT > cases.jsonl

Each line is {"model", "record", "outputs"}: a JSON record for `codec: json`
(the batch dimension left out where axis 0 is it), and every output of the model
run by onnxruntime on that record alone, flattened; or {"model", "refused": true}.
Runs each record by itself, so that what sluice batches is held against what it
would have given alone.
"""
import json
import pathlib
import sys

import numpy as np
import onnxruntime as ort

folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(8)
REFUSED = {"row_dropped.onnx"}
# Not by JSON: BF16 travels raw only. Covered by the Go tests of the model.
LEFT_OUT = {"all_types.onnx"}
# Inputs that carry their batch dimension in the record: it is not axis 0.
FULL_RANK = {("stateful.onnx", "state"), ("batch_axis1.onnx", "x")}
SMALL_IDS = {"gather_fails.onnx": 3, "fails_on_data.onnx": 3, "tokens_dyn.onnx": 60}


def sizes(model, name, shape, i):
    """Concrete dimensions of one row: batch 1, others varying from record to record."""
    varying = {"sequence": 3 + i % 4, "n": 3 + i % 3, "classes": 2, "time": 2 + i % 3, "batch": 1, "N": 1}
    if model == "batch_axis1.onnx":
        varying["n"] = 1
    if name in ("boxes", "scores") and model == "detect_nms.onnx":
        varying["n"] = 4 + i % 3
    full = [d if isinstance(d, int) else varying.get(d, 1) for d in shape]
    return full


def values(model, item, dims, i):
    kind = item.type
    if kind == "tensor(string)":
        return np.array([["NL", "DE", "??", "BE"][int(v)] for v in rng.integers(0, 4, int(np.prod(dims)))], object).reshape(dims)
    if kind == "tensor(bool)":
        return rng.integers(0, 2, dims).astype(bool)
    if "int" in kind:
        if item.name == "n":
            return np.full(dims, 2 + i % 3, np.int64)
        top = SMALL_IDS.get(model, 200 if "uint8" in kind else 50)
        if item.name == "attention_mask":
            return np.ones(dims, np.int64)
        return rng.integers(0, top, dims).astype(kind[7:-1])
    dtype = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}[kind]
    return (rng.integers(1, 65, dims) / 8).astype(dtype)


def plain(a):
    if isinstance(a, np.ndarray):
        return [float(v) if isinstance(v, (np.floating, float)) else (v.item() if hasattr(v, "item") else v) for v in a.reshape(-1)]
    return [{str(k): float(v) for k, v in m.items()} for m in a]


for path in sorted(folder.glob("*.onnx")):
    name = path.name
    if name in LEFT_OUT:
        continue
    if name in REFUSED:
        print(json.dumps({"model": name, "refused": True}))
        continue
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for i in range(count):
        feeds, record = {}, {"id": f"r{i}"}
        for item in session.get_inputs():
            if item.shape and isinstance(item.shape[0], int) and item.shape[0] > 1:  # fixed batch: tile
                row = values(name, item, item.shape[1:], i)
                feeds[item.name] = np.stack([row] * item.shape[0])
                record[item.name] = row.tolist()
                continue
            dims = sizes(name, item.name, item.shape, i)
            a = values(name, item, dims, i)
            a = np.asarray(a, None if a.__class__ is np.ndarray else a.dtype)
            feeds[item.name] = a
            keep = not dims or (name, item.name) in FULL_RANK
            record[item.name] = (a if keep else a[0]).tolist()
        outputs = {}
        for out, got in zip(session.get_outputs(), session.run(None, feeds)):
            if isinstance(got, np.ndarray) and name.startswith("fixed_batch4"):
                got = got[:1]
            outputs[out.name] = plain(np.asarray(got) if np.isscalar(got) else got)
        print(json.dumps({"model": name, "record": record, "outputs": outputs}))
