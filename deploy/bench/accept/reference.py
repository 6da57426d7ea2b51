"""Reference outputs: python reference.py MODEL.onnx ROWS.f32 OUT.f32

ROWS is float32 [n,784], OUT becomes float32 [n,10]; batches of 256, one thread.
"""
import sys

import numpy as np
import onnxruntime as ort

model, rows_file, out_file = sys.argv[1:]
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
rows = np.memmap(rows_file, dtype="<f4", mode="r").reshape(-1, 784)
with open(out_file, "wb") as out:
    for i in range(0, len(rows), 256):
        out.write(session.run(None, {name: np.ascontiguousarray(rows[i : i + 256])})[0].astype("<f4").tobytes())
