package rivals;

/** {"id":"r1","input_ids":[32 integers],"attention_mask":[32 integers]}: fields are named as the model's inputs. */
final class JsonTokens extends JsonPayload {
  private final byte[][] names;
  private final long[][] values;

  JsonTokens(Engine engine) {
    super(engine);
    names = new byte[engine.inputs.size()][];
    values = new long[names.length][];
    for (int i = 0; i < names.length; i++) {
      names[i] = ascii(engine.inputs.get(i).name);
      values[i] = new long[engine.inputs.get(i).width];
    }
  }

  @Override
  long field(JsonReader in, int row) {
    for (int i = 0; i < names.length; i++) {
      if (in.keyIs(names[i])) {
        Engine.Input input = engine.inputs.get(i);
        in.longs(values[i]);
        input.longs.put(row * input.width, values[i], 0, input.width);
        return 1L << i;
      }
    }
    in.skip();
    return 0;
  }

  @Override
  long complete() {
    return (1L << names.length) - 1;
  }
}
