package rivals;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;

/** JSON objects with an id; the output is {"id":...,"outputs":{name: number or numbers}}. */
abstract class JsonPayload extends Payload {
  private static final byte[] HEAD = ascii("{\"id\":\"");
  private final JsonReader in = new JsonReader();
  private final JsonWriter out = new JsonWriter();
  // Where each row's id stands, still escaped, in the record's own bytes.
  private final byte[][] idBytes = new byte[Batch.ROWS][];
  private final int[] idStart = new int[Batch.ROWS];
  private final int[] idEnd = new int[Batch.ROWS];
  private final byte[][] before; // what stands before each output's value

  JsonPayload(Engine engine) {
    super(engine);
    before = new byte[engine.outputs.size()][];
    for (int i = 0; i < before.length; i++) {
      before[i] = ascii((i == 0 ? "\",\"outputs\":{\"" : ",\"") + engine.outputs.get(i).name + "\":");
    }
  }

  /** Reads the value of the field that the reader stands at into the row; returns the bits that this completes. */
  abstract long field(JsonReader in, int row);

  /** The bits of all that a row needs. */
  abstract long complete();

  /** Called when all of a row's fields were read. */
  void finish(int row) {}

  @Override
  void decode(int row, ByteBuffer value) {
    in.reset(value.array(), value.arrayOffset() + value.position(), value.remaining());
    idBytes[row] = null;
    long seen = 0;
    while (in.nextField()) {
      if (in.isId()) {
        in.string();
        idBytes[row] = in.bytes();
        idStart[row] = in.start();
        idEnd[row] = in.end();
      } else {
        seen |= field(in, row);
      }
    }
    in.finish();
    if (idBytes[row] == null || seen != complete()) {
      throw new IllegalArgumentException("a field is missing");
    }
    finish(row);
  }

  @Override
  byte[] encode(int row) {
    out.clear();
    out.bytes(HEAD, 0, HEAD.length);
    out.bytes(idBytes[row], idStart[row], idEnd[row]);
    for (int i = 0; i < before.length; i++) {
      out.bytes(before[i], 0, before[i].length);
      write(engine.outputs.get(i), row);
    }
    out.ascii('}');
    out.ascii('}');
    return out.toArray();
  }

  private void write(Engine.Output output, int row) {
    int begin = row * output.width;
    if (!output.scalar) {
      out.ascii('[');
    }
    for (int i = begin; i < begin + output.width; i++) {
      if (i > begin) {
        out.ascii(',');
      }
      FloatBuffer floats = output.floats;
      if (floats != null) {
        out.number(floats.get(i));
      } else {
        out.number(output.longs.get(i));
      }
    }
    if (!output.scalar) {
      out.ascii(']');
    }
  }

  static byte[] ascii(String s) {
    return s.getBytes(StandardCharsets.US_ASCII);
  }
}
