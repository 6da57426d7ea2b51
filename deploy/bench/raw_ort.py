"""onnxruntime alone: python raw_ort.py MODEL PROCESSES [SECONDS] > sweep.jsonl

The limit of inference: one process a core, each with a session of one thread, inputs and
outputs bound beforehand, batches of 1 to 1024 rows. A line for each batch size:
{"batch": rows in a run, "rate": rows a second of all processes, "run_s": mean seconds of a run}
"""
import json
import multiprocessing as mp
import sys
import time

import numpy as np
import onnxruntime as ort

BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]


def made(i, batch):
    shape = [batch] + [d for d in i.shape[1:]]
    random = np.random.default_rng(1)
    if i.type == "tensor(int64)":
        return np.ones(shape, np.int64) if i.name == "attention_mask" else random.integers(0, 1000, shape)
    return random.random(shape, np.float32)


def work(model, batch, seconds, barrier, results):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for i in session.get_inputs():
        binding.bind_cpu_input(i.name, made(i, batch))
    for o in session.get_outputs():
        binding.bind_output(o.name)
    session.run_with_iobinding(binding)
    barrier.wait()
    runs, began = 0, time.perf_counter()
    while True:
        session.run_with_iobinding(binding)
        runs += 1
        took = time.perf_counter() - began
        if took >= seconds:
            break
    results.put((runs, took))


if __name__ == "__main__":
    model, processes = sys.argv[1], int(sys.argv[2])
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 0.5
    for batch in BATCHES:
        barrier, results = mp.Barrier(processes), mp.Queue()
        workers = [mp.Process(target=work, args=(model, batch, seconds, barrier, results)) for _ in range(processes)]
        for w in workers:
            w.start()
        done = [results.get() for _ in workers]
        for w in workers:
            w.join()
        rate = sum(runs * batch / took for runs, took in done)
        print(json.dumps({"batch": batch, "rate": rate, "run_s": sum(t for _, t in done) / sum(r for r, _ in done)}), flush=True)
