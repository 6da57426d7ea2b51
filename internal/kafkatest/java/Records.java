import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Kafka's own client, for comparison with sluice's.
 *
 * <pre>
 * java -cp 'JARS/*' Records.java
 * read  BROKERS TOPIC read_committed|read_uncommitted
 * write BROKERS TOPIC COUNT
 * </pre>
 *
 * It takes commands, one a line, until its input ends, and ends the answer to each with a line "done" or, when the
 * command failed, "failed" and why.
 *
 * read prints every record up to the present end as a JSON line. write sends COUNT records with each codec: keys and
 * values that are null, empty, small and large, and headers of every kind; then transactions that commit and abort.
 */
public class Records {
  static final byte[][] KEYS = {null, {}, "k".getBytes(StandardCharsets.UTF_8), {0, (byte) 0xff, '"', '\n'}};

  public static void main(String[] args) throws Exception {
    var commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = commands.readLine()) != null; ) {
      String[] words = line.split(" ");
      try {
        switch (words[0]) {
          case "read" -> read(words[1], words[2], words[3]);
          case "write" -> write(words[1], words[2], Integer.parseInt(words[3]));
          default -> throw new IllegalArgumentException(line);
        }
        System.out.println("done");
      } catch (Exception e) {
        System.out.println("failed " + e.toString().replace('\n', ' '));
      }
    }
  }

  static void read(String brokers, String topic, String isolation) {
    Map<String, Object> settings =
        Map.of("bootstrap.servers", brokers, "isolation.level", isolation, "enable.auto.commit", false);
    var out = new StringBuilder();
    try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      List<TopicPartition> partitions =
          consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      // The end is the last stable offset when reading committed.
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
        consumer.poll(Duration.ofMillis(200)).forEach(record -> out.append(json(record)).append('\n'));
      }
    }
    System.out.print(out);
  }

  static String json(ConsumerRecord<byte[], byte[]> record) {
    var headers = new ArrayList<String>();
    for (Header h : record.headers()) {
      headers.add("{\"key\":" + base64(h.key().getBytes(StandardCharsets.UTF_8)) + ",\"value\":" + base64(h.value()) + "}");
    }
    return "{\"partition\":" + record.partition() + ",\"offset\":" + record.offset() + ",\"timestamp\":" + record.timestamp()
        + ",\"key\":" + base64(record.key()) + ",\"value\":" + base64(record.value())
        + ",\"headers\":" + headers.stream().collect(Collectors.joining(",", "[", "]")) + "}";
  }

  static String base64(byte[] bytes) {
    return bytes == null ? "null" : '"' + Base64.getEncoder().encodeToString(bytes) + '"';
  }

  static void write(String brokers, String topic, int count) throws Exception {
    int seed = 0;
    for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
      try (var producer = producer(brokers, codec, null)) {
        send(producer, topic, count, seed++);
      }
    }
    for (String codec : List.of("none", "zstd")) {
      try (var producer = producer(brokers, codec, topic + "-" + codec)) {
        producer.initTransactions();
        for (boolean commit : new boolean[] {true, false, true, false, false, true}) {
          producer.beginTransaction();
          send(producer, topic, 7, seed++);
          producer.flush();
          if (commit) {
            producer.commitTransaction();
          } else {
            producer.abortTransaction();
          }
        }
      }
    }
  }

  static KafkaProducer<byte[], byte[]> producer(String brokers, String codec, String transaction) {
    var settings = new java.util.HashMap<String, Object>(Map.of(
        "bootstrap.servers", brokers, "compression.type", codec, "batch.size", 8192, "linger.ms", 20));
    if (transaction != null) {
      settings.put("transactional.id", transaction);
    }
    return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
  }

  static void send(KafkaProducer<byte[], byte[]> producer, String topic, int count, int seed) throws Exception {
    var random = new Random(seed);
    int partitions = producer.partitionsFor(topic).size();
    for (int i = 0; i < count; i++) {
      var headers = new RecordHeaders();
      for (int h = random.nextInt(4); h > 0; h--) {
        headers.add(random.nextBoolean() ? "repeated" : "h" + h, h == 2 ? null : bytes(random, 20));
      }
      byte[] value = switch (random.nextInt(8)) {
        case 0 -> null;
        case 1 -> new byte[0];
        case 2 -> bytes(random, 5000);
        default -> ("a value that compresses, a value that compresses " + i).getBytes(StandardCharsets.UTF_8);
      };
      // Timestamps go forth and back: deltas within a batch are negative too.
      long timestamp = 1_700_000_000_000L + random.nextInt(100_000);
      producer.send(new ProducerRecord<>(topic, i % partitions, timestamp, KEYS[random.nextInt(KEYS.length)], value, headers));
    }
  }

  static byte[] bytes(Random random, int most) {
    var bytes = new byte[random.nextInt(most)];
    random.nextBytes(bytes);
    return bytes;
  }
}
