package rivals;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/** The value is the only input's row as little-endian float32, and so is the output. */
final class RawFloats extends Payload {
  private final Engine.Input input;
  private final Engine.Output output;

  RawFloats(Engine engine) {
    super(engine);
    if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN) {
      throw new IllegalStateException("this machine is not little-endian");
    }
    input = engine.inputs.get(0);
    output = engine.outputs.get(0);
  }

  @Override
  void decode(int row, ByteBuffer value) {
    int size = input.width * Float.BYTES;
    if (value.remaining() != size) {
      throw new IllegalArgumentException(value.remaining() + " bytes instead of " + size);
    }
    input.bytes.put(row * size, value, value.position(), size);
  }

  @Override
  byte[] encode(int row) {
    byte[] out = new byte[output.width * Float.BYTES];
    FloatBuffer floats = output.floats;
    ByteBuffer bytes = ByteBuffer.wrap(out).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < output.width; i++) {
      bytes.putFloat(floats.get(row * output.width + i));
    }
    return out;
  }
}
