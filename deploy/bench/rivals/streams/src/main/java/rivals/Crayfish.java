package rivals;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ArrayBlockingQueue;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/**
 * The adapter of Crayfish (EDBT 2024) for Kafka Streams and ONNX, written from its description, with the habits that
 * hold its published figures down: Streams' defaults of the time (100 ms of linger), a new JSON mapper for each message
 * on both sides, a tree and then a split into boxed floats, one row a model run on one session for all threads, results
 * left open, and the whole input echoed beside the prediction. It gives the ratio to the published state; it is not how
 * anyone should do it.
 */
final class Crayfish {
  // Published, results were never closed. Here the oldest is closed once so many are open: memory is touched as fresh
  // as there, but does not grow with the topic.
  private static final int OPEN_RESULTS = 1 << 16;

  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final OrtSession session;
  private final String input;
  private final ArrayBlockingQueue<OrtSession.Result> open = new ArrayBlockingQueue<>(OPEN_RESULTS);

  private Crayfish(String model) throws OrtException {
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setIntraOpNumThreads(1);
      options.setInterOpNumThreads(1);
      session = environment.createSession(model, options);
    }
    input = session.getInputNames().iterator().next();
  }

  static KafkaStreams streams(Job job) throws OrtException {
    Crayfish adapter = new Crayfish(job.model());
    StreamsBuilder builder = new StreamsBuilder();
    Serde<byte[]> key = Serdes.ByteArray();
    Serde<CrayfishMessage> value = Serdes.serdeFrom(new CrayfishMessage.Writer(), new CrayfishMessage.Reader());
    builder.stream(job.in(), Consumed.with(key, value)).mapValues(adapter::score).to(job.out(), Produced.with(key, value));
    Properties p = new Properties();
    p.put(StreamsConfig.APPLICATION_ID_CONFIG, job.group());
    p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, job.brokers());
    p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, job.threads());
    p.put(StreamsConfig.ENABLE_METRICS_PUSH_CONFIG, false);
    // What Streams 3.2 sets by itself, written down: later versions may choose otherwise.
    p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 30_000);
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 1000);
    p.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 100);
    p.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 16 << 10);
    p.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
    return new KafkaStreams(builder.build(), p);
  }

  private CrayfishMessage score(CrayfishMessage message) {
    List<Float> boxed = new ArrayList<>();
    for (String token : message.dataPoint.split(",")) {
      boxed.add(Float.valueOf(token));
    }
    float[] values = new float[boxed.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = boxed.get(i);
    }
    long[] shape = {message.dataPointSz1, message.dataPointSz2};
    try (OnnxTensor tensor = OnnxTensor.createTensor(environment, FloatBuffer.wrap(values), shape)) {
      OrtSession.Result result = session.run(Map.of(input, tensor));
      while (!open.offer(result)) {
        OrtSession.Result oldest = open.poll();
        if (oldest != null) {
          oldest.close();
        }
      }
      message.prediction = Arrays.deepToString((float[][]) result.get(0).getValue());
    } catch (OrtException e) {
      throw new IllegalStateException("run a row", e);
    }
    return message;
  }
}
