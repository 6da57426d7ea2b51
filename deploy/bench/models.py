"""Makes the bench's models: python models.py OUTDIR

gbdt.onnx    features f32 [batch,30] -> label int64 [batch], probabilities f32 [batch,2]:
             a gradient-boosted ensemble of 100 complete trees of depth 6, logistic.
tokens.onnx  input_ids, attention_mask int64 [batch,32] -> embedding f32 [batch,16]: a
             transformer of 4 layers, width 160, 4 heads, masked mean pooling; compute-bound,
             about 1.7 ms of CPU a row on an AVX2 core.

Weights are drawn with a fixed seed and numpy's legacy generator, whose stream is frozen:
the bytes are the same on every run. Needs onnx and numpy (requirements.txt). What exists
is left alone.
"""
import pathlib
import sys

import numpy as np
from onnx import TensorProto as T
from onnx import checker, helper as h, numpy_helper

TREES, DEPTH, FEATURES = 100, 6, 30
LAYERS, WIDTH, HEADS, VOCABULARY, TOKENS, EMBEDDING = 4, 160, 4, 1000, 32, 16


def tensor(name, elem, *shape):
    return h.make_tensor_value_info(name, elem, shape)


def save(path, name, nodes, inputs, outputs, inits=(), ml=False):
    graph = h.make_graph(nodes, name, inputs, outputs, list(inits))
    opsets = [h.make_opsetid("", 17)] + ([h.make_opsetid("ai.onnx.ml", 3)] if ml else [])
    m = h.make_model(graph, opset_imports=opsets, producer_name="sluice-bench", ir_version=8)
    checker.check_model(m)
    part = path.with_suffix(".part")
    part.write_bytes(m.SerializeToString())
    part.rename(path)


def gbdt(path):
    """Features are in 0..1000; each tree asks 63 thresholds and gives one of 64 small weights."""
    random = np.random.RandomState(30)
    inner, leaves = 2**DEPTH - 1, 2**DEPTH
    nodes = {k: [] for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")}
    leaf = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(TREES):
        weights = random.normal(0, 0.1, leaves)
        for node in range(inner + leaves):  # a heap: the children of n are 2n+1 and 2n+2
            split = node < inner
            nodes["treeids"].append(tree)
            nodes["nodeids"].append(node)
            nodes["featureids"].append(int(random.randint(FEATURES)) if split else 0)
            nodes["values"].append(float(np.float32(random.uniform(50, 950))) if split else 0.0)
            nodes["modes"].append("BRANCH_LEQ" if split else "LEAF")
            nodes["truenodeids"].append(2 * node + 1 if split else 0)
            nodes["falsenodeids"].append(2 * node + 2 if split else 0)
            if not split:
                leaf["treeids"].append(tree)
                leaf["nodeids"].append(node)
                leaf["ids"].append(0)
                leaf["weights"].append(float(np.float32(weights[node - inner])))
    ensemble = h.make_node(
        "TreeEnsembleClassifier", ["features"], ["label", "probabilities"], domain="ai.onnx.ml",
        classlabels_int64s=[0, 1], post_transform="LOGISTIC",
        **{"nodes_" + k: v for k, v in nodes.items()}, **{"class_" + k: v for k, v in leaf.items()})
    save(path, "gbdt", [ensemble], [tensor("features", T.FLOAT, "batch", FEATURES)],
         [tensor("label", T.INT64, "batch"), tensor("probabilities", T.FLOAT, "batch", 2)], ml=True)


def tokens(path):
    random = np.random.RandomState(32)
    nodes, inits = [], []

    def weight(name, *shape, scale=None):
        scale = shape[0] ** -0.5 if scale is None else scale
        inits.append(numpy_helper.from_array((random.normal(0, scale, shape)).astype(np.float32), name))
        return name

    def const(name, values, dtype):
        inits.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def op(kind, inputs, output, **attributes):
        nodes.append(h.make_node(kind, inputs, [output], **attributes))
        return output

    def linear(x, name, n, m):
        return op("Add", [op("MatMul", [x, weight(name + ".w", n, m)], name + ".m"), weight(name + ".b", m, scale=0.02)], name)

    def norm(x, name):
        return op("LayerNormalization", [x, const(name + ".g", np.ones(WIDTH), np.float32), const(name + ".s", np.zeros(WIDTH), np.float32)], name, axis=-1)

    heads = const("heads", [0, TOKENS, HEADS, WIDTH // HEADS], np.int64)
    flat = const("flat", [0, TOKENS, WIDTH], np.int64)
    scale = const("scale", (WIDTH // HEADS) ** -0.5, np.float32)
    axis1, axis2, axes12 = const("axis1", [1], np.int64), const("axis2", [2], np.int64), const("axes12", [1, 2], np.int64)
    mask = op("Cast", ["attention_mask"], "mask", to=T.FLOAT)
    penalty = op("Mul", [op("Sub", [op("Unsqueeze", [mask, axes12], "mask4"), const("one", 1, np.float32)], "mask0"), const("large", 10000, np.float32)], "penalty")
    x = op("Add", [op("Gather", [weight("vocabulary", VOCABULARY, WIDTH, scale=1), "input_ids"], "looked"), weight("positions", TOKENS, WIDTH, scale=0.1)], "x0")
    for i in range(LAYERS):
        p = f"l{i}."
        y = norm(x, p + "n1")
        q, k, v = (op("Reshape", [linear(y, p + s, WIDTH, WIDTH), heads], p + s + "h") for s in "qkv")
        q, v = op("Transpose", [q], p + "qt", perm=[0, 2, 1, 3]), op("Transpose", [v], p + "vt", perm=[0, 2, 1, 3])
        k = op("Transpose", [k], p + "kt", perm=[0, 2, 3, 1])
        scores = op("Add", [op("Mul", [op("MatMul", [q, k], p + "qk"), scale], p + "sc"), penalty], p + "pen")
        mixed = op("MatMul", [op("Softmax", [scores], p + "soft", axis=-1), v], p + "mix")
        joined = op("Reshape", [op("Transpose", [mixed], p + "mt", perm=[0, 2, 1, 3]), flat], p + "join")
        x = op("Add", [x, linear(joined, p + "o", WIDTH, WIDTH)], p + "r1")
        hidden = op("Relu", [linear(norm(x, p + "n2"), p + "f1", WIDTH, 4 * WIDTH)], p + "relu")
        x = op("Add", [x, linear(hidden, p + "f2", 4 * WIDTH, WIDTH)], p + "r2")
    wide = op("Unsqueeze", [mask, axis2], "mask3")
    total = op("ReduceSum", [op("Mul", [norm(x, "last"), wide], "kept"), axis1], "total", keepdims=0)
    count = op("ReduceSum", [mask, axis1], "count", keepdims=1)
    mean = op("Div", [total, op("Max", [count, "one"], "count1")], "mean")
    linear(mean, "embedding", WIDTH, EMBEDDING)
    ids = [tensor(n, T.INT64, "batch", TOKENS) for n in ("input_ids", "attention_mask")]
    save(path, "tokens", nodes, ids, [tensor("embedding", T.FLOAT, "batch", EMBEDDING)], inits)


if __name__ == "__main__":
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for make in (gbdt, tokens):
        target = out / (make.__name__ + ".onnx")
        if not target.exists():
            make(target)
            print("made", target, file=sys.stderr)
