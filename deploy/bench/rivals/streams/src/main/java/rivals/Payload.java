package rivals;

import java.nio.ByteBuffer;

/** How record values become rows of an engine's inputs, and its outputs record values. For one thread. */
abstract class Payload {
  final Engine engine;

  Payload(Engine engine) {
    this.engine = engine;
  }

  /** Fills row of the engine's inputs. The value's bytes stay as they are until the row was encoded. */
  abstract void decode(int row, ByteBuffer value);

  /** Returns a new array with the row's outputs. */
  abstract byte[] encode(int row);

  static Payload named(String name, Engine engine) {
    return switch (name) {
      case "json" -> new JsonFloats(engine);
      case "raw" -> new RawFloats(engine);
      case "event" -> new JsonEvent(engine);
      case "tokens" -> new JsonTokens(engine);
      default -> throw new IllegalArgumentException("unknown payload " + name);
    };
  }
}
