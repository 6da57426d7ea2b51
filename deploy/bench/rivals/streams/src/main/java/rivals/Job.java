package rivals;

/**
 * What a contender is asked to do, by the bench's command line.
 *
 * @param model path of the ONNX file
 * @param payload json, raw, event, tokens or crayfish
 * @param threads stream threads, each with a session of its own
 */
record Job(String brokers, String in, String out, String group, String model, String payload, int threads) {
  static final int DEFAULT_THREADS = 2;

  static Job of(String[] args) {
    if (args.length < 6 || args.length > 7) {
      throw new IllegalArgumentException("usage: BROKERS IN OUT GROUP MODEL.onnx json|raw|event|tokens|crayfish [THREADS]");
    }
    int threads = args.length == 7 ? Integer.parseInt(args[6]) : DEFAULT_THREADS;
    return new Job(args[0], args[1], args[2], args[3], args[4], args[5], threads);
  }
}
