package rivals;

/** {"id":"r1","h0":[784 numbers]}: the field is named as the model's input. */
final class JsonFloats extends JsonPayload {
  private final Engine.Input input;
  private final byte[] name;
  private final float[] values;

  JsonFloats(Engine engine) {
    super(engine);
    input = engine.inputs.get(0);
    name = ascii(input.name);
    values = new float[input.width];
  }

  @Override
  long field(JsonReader in, int row) {
    if (!in.keyIs(name)) {
      in.skip();
      return 0;
    }
    // through the heap: storing single floats outside it costs a check each, one bulk copy next to nothing
    in.floats(values);
    input.floats.put(row * input.width, values, 0, input.width);
    return 1;
  }

  @Override
  long complete() {
    return 1;
  }
}
