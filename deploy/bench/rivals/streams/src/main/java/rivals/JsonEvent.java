package rivals;

/** An event of many fields in any order, of which f0, f1, ... are the features. */
final class JsonEvent extends JsonPayload {
  private final Engine.Input input;
  private final float[] values;

  JsonEvent(Engine engine) {
    super(engine);
    input = engine.inputs.get(0);
    values = new float[input.width];
  }

  @Override
  long field(JsonReader in, int row) {
    int feature = feature(in.bytes(), in.start(), in.end());
    if (feature < 0 || feature >= values.length) {
      in.skip();
      return 0;
    }
    values[feature] = (float) in.number();
    return 1L << feature;
  }

  /** The n of a key "f" + n of one or two digits, else -1. */
  private static int feature(byte[] a, int start, int end) {
    int length = end - start;
    if (length < 2 || length > 3 || a[start] != 'f') {
      return -1;
    }
    int n = 0;
    for (int i = start + 1; i < end; i++) {
      int digit = a[i] - '0';
      if (digit < 0 || digit > 9) {
        return -1;
      }
      n = 10 * n + digit;
    }
    return n;
  }

  @Override
  long complete() {
    return (1L << values.length) - 1;
  }

  @Override
  void finish(int row) {
    input.floats.put(row * input.width, values, 0, input.width);
  }
}
