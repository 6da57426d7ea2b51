"""Trains the demo's model on scikit-learn's bundled digits and writes it in plain ONNX operators.

    python train.py           writes digits.onnx, digits.onnx.sha256 and held_out.jsonl beside this file
    python train.py --check   writes nothing: trains again, and fails unless the new model and the
                              committed one recognise 97 % of the held-out images, and the held-out
                              images and the committed model's digest are what this script says

The accuracy comes out the same everywhere, the bytes of the weights do not (they depend on the
processor and the number of threads): so the file is committed, and checked rather than remade.
"""
import hashlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).parent
MIN_ACCURACY = 0.97
SEED = 7


def split():
    """1347 images to learn from, 450 held out; pixels 0..16."""
    images, labels = load_digits(return_X_y=True)
    images = images.astype(np.float32)
    return train_test_split(images, labels, test_size=450, random_state=SEED, stratify=labels)


def train(images, labels):
    """A network 64-64-10. It takes pixels 0..16: the division by 16 is part of the graph."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        net = MLPClassifier((64,), max_iter=300, random_state=SEED).fit(images / 16, labels)
    weights = {
        "scale": np.float32(16),
        "w1": net.coefs_[0], "b1": net.intercepts_[0],
        "w2": net.coefs_[1], "b2": net.intercepts_[1],
    }
    nodes = [
        helper.make_node("Div", ["image", "scale"], ["scaled"]),
        helper.make_node("Gemm", ["scaled", "w1", "b1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes, "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
         helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
                              producer_name="sluice deploy/digits/train.py")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def accuracy(model, images, labels):
    answers, _ = ReferenceEvaluator(onnx.load_model_from_string(model)).run(None, {"image": images})
    return float(np.mean(answers == labels))


def json_lines(images, labels):
    return "".join(
        json.dumps({"id": f"digit-{i:03d}", "image": [int(p) for p in image], "label": int(label)},
                   separators=(",", ":")) + "\n"
        for i, (image, label) in enumerate(zip(images, labels)))


def main():
    images, held_out, labels, truth = split()
    model, lines = train(images, labels), json_lines(held_out, truth)
    files = {name: HERE / name for name in ("digits.onnx", "digits.onnx.sha256", "held_out.jsonl")}
    retrained = accuracy(model, held_out, truth)
    print(f"trained: {retrained:.2%} of {len(truth)} held-out images, {len(model)} bytes")
    failures = []
    if retrained < MIN_ACCURACY:
        failures.append(f"the retrained model reaches {retrained:.2%}, less than {MIN_ACCURACY:.0%}")
    if "--check" in sys.argv:
        committed = files["digits.onnx"].read_bytes()
        kept = accuracy(committed, held_out, truth)
        print(f"committed: {kept:.2%}, {len(committed)} bytes")
        if kept < MIN_ACCURACY:
            failures.append(f"the committed model reaches {kept:.2%}, less than {MIN_ACCURACY:.0%}")
        if files["digits.onnx.sha256"].read_text().split()[0] != hashlib.sha256(committed).hexdigest():
            failures.append("digits.onnx is not the file whose digest is in digits.onnx.sha256")
        if files["held_out.jsonl"].read_text() != lines:
            failures.append("held_out.jsonl is not the held-out part of the data")
    elif not failures:
        files["digits.onnx"].write_bytes(model)
        files["digits.onnx.sha256"].write_text(f"{hashlib.sha256(model).hexdigest()}  digits.onnx\n")
        files["held_out.jsonl"].write_text(lines)
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
