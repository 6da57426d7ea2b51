package rivals;

import ai.onnxruntime.OrtException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.streams.KafkaClientSupplier;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;

/** Kafka Streams as its best user would have it: source, one processor that predicts whole batches, sink. */
final class BatchedStreams {
  static KafkaStreams streams(Job job) throws IOException {
    byte[] model = Files.readAllBytes(Path.of(job.model()));
    // one session and one set of buffers for each stream thread, whatever tasks it has
    ThreadLocal<Payload> payload = ThreadLocal.withInitial(() -> Payload.named(job.payload(), engine(model)));
    Topology topology = new Topology();
    topology.addSource("in", new ByteArrayDeserializer(), new Batch.Unwrap(), job.in());
    topology.addProcessor("predict", () -> new BatchProcessor(payload.get()), "in");
    topology.addSink("out", job.out(), new ByteArraySerializer(), new ByteArraySerializer(), "predict");
    return new KafkaStreams(topology, properties(job), new Clients());
  }

  private static Engine engine(byte[] model) {
    try {
      return new Engine(model);
    } catch (OrtException e) {
      throw new IllegalStateException("load the model", e);
    }
  }

  private static Properties properties(Job job) {
    Properties p = new Properties();
    p.put(StreamsConfig.APPLICATION_ID_CONFIG, job.group());
    p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, job.brokers());
    p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, job.threads());
    p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
    // A commit waits for everything in flight, which costs a few ms: once a second is not felt.
    p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
    p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
    // In batches of up to 256 records: what waits in a task stays below 2,048 records.
    p.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 8);
    p.put(StreamsConfig.ENABLE_METRICS_PUSH_CONFIG, false);
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MIN_BYTES_CONFIG), 1);
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG), 50);
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 << 20);
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 2048);
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.RECEIVE_BUFFER_CONFIG), -1); // the kernel tunes it
    p.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
    p.put(StreamsConfig.producerPrefix(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG), true);
    p.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 1);
    p.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
    p.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "none");
    p.put(StreamsConfig.producerPrefix(ProducerConfig.SEND_BUFFER_CONFIG), -1);
    return p;
  }

  /** The usual clients but for the main consumer. */
  private static final class Clients implements KafkaClientSupplier {
    @Override
    public Consumer<byte[], byte[]> getConsumer(Map<String, Object> config) {
      return new BatchingConsumer(new HashMap<>(config));
    }

    @Override
    public Producer<byte[], byte[]> getProducer(Map<String, Object> config) {
      return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    @Override
    public Consumer<byte[], byte[]> getRestoreConsumer(Map<String, Object> config) {
      return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    @Override
    public Consumer<byte[], byte[]> getGlobalConsumer(Map<String, Object> config) {
      return getRestoreConsumer(config);
    }

    @Override
    public Admin getAdmin(Map<String, Object> config) {
      return Admin.create(config);
    }
  }

  private BatchedStreams() {}
}
