package rivals;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A session with input buffers for {@link Batch#ROWS} rows outside the heap, which ONNX Runtime reads in place. For one
 * thread.
 */
final class Engine {
  /** An input [batch,width] of float32 or int64; its buffer is [ROWS][width]. */
  static final class Input {
    final String name;
    final int width;
    final OnnxJavaType type;
    final ByteBuffer bytes;
    final FloatBuffer floats;
    final LongBuffer longs;

    Input(String name, TensorInfo info) {
      this.name = name;
      this.type = info.type;
      this.width = Engine.width(info);
      bytes = ByteBuffer.allocateDirect(Batch.ROWS * width * type.size).order(ByteOrder.nativeOrder());
      floats = bytes.asFloatBuffer();
      longs = bytes.asLongBuffer();
    }

    OnnxTensor tensor(OrtEnvironment environment, int rows) throws OrtException {
      long[] shape = {rows, width};
      return switch (type) {
        case FLOAT -> OnnxTensor.createTensor(environment, floats.slice(0, rows * width), shape);
        case INT64 -> OnnxTensor.createTensor(environment, longs.slice(0, rows * width), shape);
        default -> throw new IllegalArgumentException("input " + name + " is " + type);
      };
    }
  }

  /** An output [batch] (width 1, scalar) or [batch,width] of the last run. */
  static final class Output {
    final String name;
    final int width;
    final boolean scalar;
    final OnnxJavaType type;
    FloatBuffer floats;
    LongBuffer longs;

    Output(String name, TensorInfo info) {
      this.name = name;
      this.type = info.type;
      this.width = Engine.width(info);
      this.scalar = info.getShape().length == 1;
    }

    void set(OnnxTensor tensor) {
      switch (type) {
        case FLOAT -> floats = tensor.getFloatBuffer();
        case INT64 -> longs = tensor.getLongBuffer();
        default -> throw new IllegalArgumentException("output " + name + " is " + type);
      }
    }
  }

  final List<Input> inputs = new ArrayList<>();
  final List<Output> outputs = new ArrayList<>();
  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final OrtSession session;

  Engine(byte[] model) throws OrtException {
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setIntraOpNumThreads(1);
      options.setInterOpNumThreads(1);
      options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
      options.setExecutionMode(OrtSession.SessionOptions.ExecutionMode.SEQUENTIAL);
      options.addConfigEntry("session.intra_op.allow_spinning", "0");
      options.addConfigEntry("session.inter_op.allow_spinning", "0");
      session = environment.createSession(model, options);
    }
    for (Map.Entry<String, NodeInfo> e : session.getInputInfo().entrySet()) {
      inputs.add(new Input(e.getKey(), (TensorInfo) e.getValue().getInfo()));
    }
    for (Map.Entry<String, NodeInfo> e : session.getOutputInfo().entrySet()) {
      outputs.add(new Output(e.getKey(), (TensorInfo) e.getValue().getInfo()));
    }
  }

  Input input(String name) {
    for (Input input : inputs) {
      if (input.name.equals(name)) {
        return input;
      }
    }
    throw new IllegalArgumentException("the model has no input " + name);
  }

  /** Runs the first rows of the input buffers. */
  void run(int rows) throws OrtException {
    Map<String, OnnxTensor> tensors = new HashMap<>();
    try {
      for (Input input : inputs) {
        tensors.put(input.name, input.tensor(environment, rows));
      }
      try (OrtSession.Result result = session.run(tensors)) {
        for (int i = 0; i < outputs.size(); i++) {
          outputs.get(i).set((OnnxTensor) result.get(i));
        }
      }
    } finally {
      tensors.values().forEach(OnnxTensor::close);
    }
  }

  private static int width(TensorInfo info) {
    long[] shape = info.getShape();
    return shape.length == 1 ? 1 : (int) shape[1];
  }
}
