"""Writes the model zoo: one small ONNX file for each way a model can treat its batch.

    python3 zoo.py OUTDIR [--slow-trips N]

Needs onnx==1.23.2, numpy==2.4.6, protobuf<7 (6.33.6). The bytes are the same on every
run; SHA256SUMS beside this script holds their digests. Weights are small integers over
64, so that with inputs k/8 the tests compute the expected values without a tolerance.
--slow-trips sets the cost of slow.onnx (default 1000: about 100 times mlp_784_32x4_10).
"""

import argparse
import hashlib
import pathlib

import numpy as np
from onnx import TensorProto as T
from onnx import checker, helper as h, numpy_helper

ML = "ai.onnx.ml"
ELEM = {np.dtype("float32"): T.FLOAT, np.dtype("int64"): T.INT64, np.dtype("float16"): T.FLOAT16}


def weights(seed, *shape):
    """Integers -8..8 over 64 from a fixed linear congruence (not numpy's generator)."""
    state, out = seed, []
    for _ in range(int(np.prod(shape))):
        state = (state * 1103515245 + 12345) % 2**31
        out.append(((state >> 16) % 17 - 8) / 64)
    return np.array(out, dtype=np.float32).reshape(shape)


def const(name, values, dtype=None):
    return numpy_helper.from_array(np.asarray(values, dtype=dtype), name)


def tensor(name, elem, shape):
    return h.make_tensor_value_info(name, elem, shape)


def model(name, nodes, inputs, outputs, inits=(), ml=False, check=True):
    graph = h.make_graph(nodes, name, inputs, outputs, list(inits))
    opsets = [h.make_opsetid("", 17)] + ([h.make_opsetid(ML, 3)] if ml else [])
    m = h.make_model(graph, opset_imports=opsets, producer_name="sluice-zoo", ir_version=8)
    if check:
        checker.check_model(m)
    return m


def affine():
    return model("affine", [h.make_node("Mul", ["x", "two"], ["d"]), h.make_node("Add", ["d", "one"], ["y"])],
                 [tensor("x", T.FLOAT, ["batch", 4])], [tensor("y", T.FLOAT, ["batch", 4])],
                 [const("two", [2], np.float32), const("one", [1], np.float32)])


def scalar_per_row():
    return model("scalar_per_row", [h.make_node("ReduceSum", ["x", "axis"], ["score"], keepdims=0)],
                 [tensor("x", T.FLOAT, ["batch", 3])], [tensor("score", T.FLOAT, ["batch"])],
                 [const("axis", [1], np.int64)])


def image_uint8_nhwc():
    return model("image_uint8_nhwc",
                 [h.make_node("Cast", ["image"], ["f"], to=T.FLOAT),
                  h.make_node("ReduceMean", ["f"], ["mean"], axes=[1, 2], keepdims=0),
                  h.make_node("MatMul", ["mean", "w"], ["logits"]),
                  h.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
                  h.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0)],
                 [tensor("image", T.UINT8, ["batch", 32, 32, 3])],
                 [tensor("label", T.INT64, ["batch"]), tensor("probabilities", T.FLOAT, ["batch", 5])],
                 [const("w", weights(3, 3, 5))])


def tokens_dyn():
    ids, mask = (tensor(n, T.INT64, ["batch", "sequence"]) for n in ("input_ids", "attention_mask"))
    return model("tokens_dyn",
                 [h.make_node("Gather", ["table", "input_ids"], ["e"]),
                  h.make_node("Cast", ["attention_mask"], ["m"], to=T.FLOAT),
                  h.make_node("Unsqueeze", ["m", "last"], ["m3"]),
                  h.make_node("Mul", ["e", "m3"], ["em"]),
                  h.make_node("ReduceSum", ["em", "one"], ["sum"], keepdims=0),
                  h.make_node("ReduceSum", ["m", "one"], ["count"], keepdims=1),
                  h.make_node("Max", ["count", "least"], ["divisor"]),
                  h.make_node("Div", ["sum", "divisor"], ["embedding"])],
                 [ids, mask], [tensor("embedding", T.FLOAT, ["batch", 16])],
                 [const("table", weights(5, 1000, 16)), const("last", [-1], np.int64),
                  const("one", [1], np.int64), const("least", [1], np.float32)])


def string_input():
    return model("string_input",
                 [h.make_node("LabelEncoder", ["country"], ["code"], domain=ML, default_float=-1.0,
                              keys_strings=["DE", "FR", "US"], values_floats=[1.0, 2.0, 3.0]),
                  h.make_node("Add", ["code", "amount"], ["score"])],
                 [tensor("country", T.STRING, ["batch", 1]), tensor("amount", T.FLOAT, ["batch", 1])],
                 [tensor("score", T.FLOAT, ["batch", 1])], ml=True)


def string_output():
    return model("string_output",
                 [h.make_node("LabelEncoder", ["x"], ["text"], domain=ML, default_string="other",
                              keys_int64s=[0, 1, 2], values_strings=["zero", "one", "zwölf"])],
                 [tensor("x", T.INT64, ["batch"])], [tensor("text", T.STRING, ["batch"])], ml=True)


def detect_nms():
    return model("detect_nms",
                 [h.make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou", "least"], ["selected"])],
                 [tensor("boxes", T.FLOAT, ["batch", "n", 4]), tensor("scores", T.FLOAT, ["batch", "classes", "n"])],
                 [tensor("selected", T.INT64, ["num_selected", 3])],
                 [const("most", [4], np.int64), const("iou", [0.5], np.float32), const("least", [0.5], np.float32)])


def float16():
    return model("float16", [h.make_node("MatMul", ["x", "w"], ["y"])],
                 [tensor("x", T.FLOAT16, ["batch", 8])], [tensor("y", T.FLOAT16, ["batch", 4])],
                 [const("w", weights(7, 8, 4), np.float16)])


def stateful():
    return model("stateful",
                 [h.make_node("MatMul", ["x", "w"], ["xw"]),
                  h.make_node("Unsqueeze", ["xw", "zero"], ["xw3"]),
                  h.make_node("Mul", ["state", "half"], ["decayed"]),
                  h.make_node("Add", ["decayed", "xw3"], ["stateN"]),
                  h.make_node("Squeeze", ["stateN", "zero"], ["flat"]),
                  h.make_node("MatMul", ["flat", "v"], ["output"])],
                 [tensor("x", T.FLOAT, ["batch", 6]), tensor("state", T.FLOAT, [1, "batch", 8])],
                 [tensor("output", T.FLOAT, ["batch", 1]), tensor("stateN", T.FLOAT, [1, "batch", 8])],
                 [const("w", weights(11, 6, 8)), const("v", weights(13, 8, 1)),
                  const("half", [0.5], np.float32), const("zero", [0], np.int64)])


def fixed_batch(rows):
    return model(f"fixed_batch{rows}", [h.make_node("Add", ["x", "b"], ["y"])],
                 [tensor("x", T.FLOAT, [rows, 8])], [tensor("y", T.FLOAT, [rows, 8])],
                 [const("b", weights(17, 8))])


def mixed_io():
    m = model("mixed_io",
              [h.make_node("Cast", ["f"], ["f64"], to=T.DOUBLE),
               h.make_node("Cast", ["i"], ["i64"], to=T.DOUBLE),
               h.make_node("Cast", ["flag"], ["flag64"], to=T.DOUBLE),
               h.make_node("Add", ["f64", "i64"], ["fi"]),
               h.make_node("Add", ["fi", "flag64"], ["total"]),
               h.make_node("Greater", ["f", "zero"], ["positive"]),
               h.make_node("Round", ["f"], ["r"]),
               h.make_node("Cast", ["r"], ["rounded"], to=T.INT32),
               h.make_node("Constant", [], ["version"], value=const("v", [7], np.int64))],
              [tensor("f", T.FLOAT, ["batch", 2]), tensor("i", T.INT64, ["batch", 2]), tensor("flag", T.BOOL, ["batch", 2])],
              [tensor("total", T.DOUBLE, ["batch", 2]), tensor("positive", T.BOOL, ["batch", 2]),
               tensor("rounded", T.INT32, ["batch", 2]), tensor("version", T.INT64, [1])],
              [const("zero", [0], np.float32)])
    m.model_version = 3
    m.doc_string = "every output type at once"
    h.set_model_props(m, {"author": "sluice", "stage": "test"})
    return m


def gather(name, rows, seed):
    return model(name, [h.make_node("Gather", ["table", "id"], ["y"])],
                 [tensor("id", T.INT64, ["batch"])], [tensor("y", T.FLOAT, ["batch", 2])],
                 [const("table", weights(seed, rows, 2))])


def rank0_input():
    return model("rank0_input", [h.make_node("Mul", ["x", "scale"], ["y"])],
                 [tensor("x", T.FLOAT, ["batch", 2]), tensor("scale", T.FLOAT, [])],
                 [tensor("y", T.FLOAT, ["batch", 2])])


def batch_coupled():
    return model("batch_coupled",
                 [h.make_node("ReduceMax", ["x"], ["top"], axes=[0], keepdims=1), h.make_node("Sub", ["x", "top"], ["y"])],
                 [tensor("x", T.FLOAT, ["batch", 2])], [tensor("y", T.FLOAT, ["batch", 2])])


def batch_mean():
    """The coupling shows in an output without a batch dimension only."""
    return model("batch_mean",
                 [h.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=0), h.make_node("Neg", ["x"], ["y"])],
                 [tensor("x", T.FLOAT, ["batch", 2])], [tensor("y", T.FLOAT, ["batch", 2]), tensor("mean", T.FLOAT, [2])])


def mlp_784_32x4_10():
    sizes, nodes, inits = [784, 32, 32, 32, 32, 10], [], []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        inits += [const(f"w{i}", weights(19 + i, a, b)), const(f"b{i}", weights(29 + i, b))]
        last = i == len(sizes) - 2
        nodes.append(h.make_node("Gemm", [f"h{i}", f"w{i}", f"b{i}"], ["y" if last else f"g{i}"]))
        if not last:
            nodes.append(h.make_node("Relu", [f"g{i}"], [f"h{i + 1}"]))
    return model("mlp_784_32x4_10", nodes, [tensor("h0", T.FLOAT, ["batch", 784])], [tensor("y", T.FLOAT, ["batch", 10])], inits)


def loop(name, width, trips, shape, extra_inputs, extra_inits, matrix):
    body = h.make_graph(
        [h.make_node("Identity", ["cond_in"], ["cond_out"]), h.make_node("MatMul", ["v_in", "w"], ["v_out"])], "body",
        [tensor("iter", T.INT64, []), tensor("cond_in", T.BOOL, []), tensor("v_in", T.FLOAT, shape)],
        [tensor("cond_out", T.BOOL, []), tensor("v_out", T.FLOAT, shape)])
    return model(name, [h.make_node("Loop", [trips, "go", "x"], ["y"], body=body)],
                 [tensor("x", T.FLOAT, ["batch", width])] + extra_inputs, [tensor("y", T.FLOAT, ["batch", width])],
                 extra_inits + [const("w", matrix), const("go", True, np.bool_)])


def shift(width):
    """A cyclic shift by one: x @ shift moves every value one place to the right, exactly."""
    return np.roll(np.eye(width, dtype=np.float32), 1, axis=1)


def slow_loop():
    """The message sets the cost: n products of [batch,256] and [256,256]."""
    return loop("slow_loop", 256, "n", ["batch", 256], [tensor("n", T.INT64, [])], [], shift(256))


def slow(trips):
    """A model of a set cost per row whose rows may share a batch."""
    return loop("slow", 64, "trips", ["batch", 64], [], [const("trips", trips, np.int64)], shift(64))


def seq_of_maps(name, **labels):
    key = T.STRING if "classlabels_strings" in labels else T.INT64
    maps = h.make_sequence_type_proto(h.make_map_type_proto(key, h.make_tensor_type_proto(T.FLOAT, [])))
    maps.sequence_type.elem_type.map_type.value_type.tensor_type.elem_type = T.FLOAT
    return model(name,
                 [h.make_node("ArgMax", ["X"], ["output_label"], axis=1, keepdims=0),
                  h.make_node("ZipMap", ["X"], ["output_probability"], domain=ML, **labels)],
                 [tensor("X", T.FLOAT, ["batch", 3])],
                 [tensor("output_label", T.INT64, ["batch"]), h.make_value_info("output_probability", maps)], ml=True)


def label_declared_one():
    """As LightGBM exports: label is declared [1] and comes back as [N]."""
    coefficients = [float(v) for v in weights(41, 6)]
    return model("label_declared_one",
                 [h.make_node("LinearClassifier", ["features"], ["label", "probabilities"], domain=ML, coefficients=coefficients,
                              intercepts=[0.0, 0.0], classlabels_ints=[0, 1], multi_class=0, post_transform="NONE")],
                 [tensor("features", T.FLOAT, ["N", 3])],
                 [tensor("label", T.INT64, [1]), tensor("probabilities", T.FLOAT, ["N", 2])], ml=True)


def batch_axis1():
    return model("batch_axis1", [h.make_node("ReduceSum", ["x", "time"], ["y"], keepdims=0)],
                 [tensor("x", T.FLOAT, ["time", "n", 2])], [tensor("y", T.FLOAT, ["n", 2])],
                 [const("time", [0], np.int64)])


def row_dropped():
    return model("row_dropped",
                 [h.make_node("Greater", ["x", "zero"], ["keep"]), h.make_node("Compress", ["x", "keep"], ["y"], axis=0)],
                 [tensor("x", T.FLOAT, ["n"])], [tensor("y", T.FLOAT, ["kept"])],
                 [const("zero", [0], np.float32)])


def unnamed_dims():
    return model("unnamed_dims", [h.make_node("Neg", ["in.0"], ["out:0"])],
                 [tensor("in.0", T.FLOAT, [None, 3])], [tensor("out:0", T.FLOAT, [None, 3])])


def nan_inf():
    return model("nan_inf", [h.make_node("Log", ["x"], ["y"])],
                 [tensor("x", T.FLOAT, ["batch", 2])], [tensor("y", T.FLOAT, ["batch", 2])])


def dynamic_int8():
    """The activation scale is per batch: a row's answer depends on its neighbours."""
    w8 = (weights(43, 4, 4) * 64).astype(np.int8)
    return model("dynamic_int8",
                 [h.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
                  h.make_node("MatMulInteger", ["q", "w", "zero"], ["acc"]),
                  h.make_node("Cast", ["acc"], ["f"], to=T.FLOAT), h.make_node("Mul", ["f", "scale"], ["y"])],
                 [tensor("x", T.FLOAT, ["batch", 4])], [tensor("y", T.FLOAT, ["batch", 4])], [const("w", w8)])


def all_types():
    """Every datatype in and out unchanged."""
    kinds = [("bool", T.BOOL), ("uint8", T.UINT8), ("uint16", T.UINT16), ("uint32", T.UINT32), ("uint64", T.UINT64),
             ("int8", T.INT8), ("int16", T.INT16), ("int32", T.INT32), ("int64", T.INT64), ("fp16", T.FLOAT16),
             ("fp32", T.FLOAT), ("fp64", T.DOUBLE), ("bytes", T.STRING), ("bf16", T.BFLOAT16)]
    return model("all_types", [h.make_node("Identity", [f"in_{n}"], [f"out_{n}"]) for n, _ in kinds],
                 [tensor(f"in_{n}", e, ["batch", 2]) for n, e in kinds],
                 [tensor(f"out_{n}", e, ["batch", 2]) for n, e in kinds])


def rank0_output():
    """One scalar per run that is the same whatever the rows are."""
    return model("rank0_output", [h.make_node("Abs", ["x"], ["y"]), h.make_node("Identity", ["c"], ["threshold"])],
                 [tensor("x", T.FLOAT, ["batch", 2])], [tensor("y", T.FLOAT, ["batch", 2]), tensor("threshold", T.FLOAT, [])],
                 [const("c", 0.25, np.float32)])


def row_position():
    """A row's answer depends on its place in the batch, not on its neighbours."""
    return model("row_position",
                 [h.make_node("Shape", ["x"], ["shape"], end=1), h.make_node("Squeeze", ["shape"], ["rows"]),
                  h.make_node("Range", ["zero", "rows", "one"], ["places"]), h.make_node("Unsqueeze", ["places", "last"], ["column"]),
                  h.make_node("Cast", ["column"], ["f"], to=T.FLOAT), h.make_node("Add", ["x", "f"], ["y"])],
                 [tensor("x", T.FLOAT, ["batch", 2])], [tensor("y", T.FLOAT, ["batch", 2])],
                 [const("zero", 0, np.int64), const("one", 1, np.int64), const("last", [1], np.int64)])


def one_row():
    """Declared for any batch, but written for one row: a careless export."""
    return model("one_row", [h.make_node("Reshape", ["x", "to"], ["y"])],
                 [tensor("x", T.FLOAT, ["batch", 4])], [tensor("y", T.FLOAT, ["batch", 2, 2])],
                 [const("to", [1, 2, 2], np.int64)])


def tabular60():
    """60 numbers of a row, as a message of named fields brings them; weights of one place each show a mix-up."""
    places = np.arange(1, 61, dtype=np.float32).reshape(60, 1)
    return model("tabular60", [h.make_node("MatMul", ["features", "places"], ["score"])],
                 [tensor("features", T.FLOAT, ["batch", 60])], [tensor("score", T.FLOAT, ["batch", 1])],
                 [const("places", places)])


def every(trips):
    made = [affine(), scalar_per_row(), image_uint8_nhwc(), tokens_dyn(), string_input(), string_output(), detect_nms(),
            float16(), stateful(), fixed_batch(1), fixed_batch(4), mixed_io(), gather("gather_fails", 16, 37), rank0_input(),
            batch_coupled(), mlp_784_32x4_10(), slow_loop(),
            seq_of_maps("seq_of_maps", classlabels_int64s=[3, 5, 9]),
            seq_of_maps("seq_of_strmaps", classlabels_strings=["ham", "eggs", "spam"]),
            label_declared_one(), batch_axis1(), row_dropped(), unnamed_dims(), gather("fails_on_data", 3, 47), nan_inf(),
            batch_mean(), dynamic_int8(), all_types(), rank0_output(), row_position(), one_row(), tabular60(),
            slow(trips)]
    return {m.graph.name: m for m in made}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("out", type=pathlib.Path)
    args.add_argument("--slow-trips", type=int, default=1000)
    opts = args.parse_args()
    opts.out.mkdir(parents=True, exist_ok=True)
    sums = []
    for name, m in sorted(every(opts.slow_trips).items()):
        data = m.SerializeToString(deterministic=True)
        (opts.out / f"{name}.onnx").write_bytes(data)
        sums.append(f"{hashlib.sha256(data).hexdigest()}  {name}.onnx\n")
    (opts.out / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    main()
