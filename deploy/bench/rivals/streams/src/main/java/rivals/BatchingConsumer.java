package rivals;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteBufferDeserializer;
import org.apache.kafka.common.serialization.Deserializer;

/**
 * A consumer whose poll hands out whole batches as single records. Streams' cost per record is then paid once a batch,
 * a batch is what a poll brought (nothing waits for more), and it is processed or not as a whole: the position that
 * Streams commits never lies behind a record whose output was not sent. A batch stands at the offset of its first
 * record, which is what Streams commits while the batch is still waiting.
 *
 * <p>Values stay slices of the fetch's buffer.
 */
final class BatchingConsumer extends KafkaConsumer<byte[], byte[]> {
  private static final byte[] EMPTY = {};

  @SuppressWarnings({"unchecked", "rawtypes"}) // the values of what super.poll returns are ByteBuffers
  BatchingConsumer(Map<String, Object> config) {
    super(config, new ByteArrayDeserializer(), (Deserializer<byte[]>) (Deserializer) new ByteBufferDeserializer());
  }

  @Override
  @SuppressWarnings({"unchecked", "rawtypes"})
  public ConsumerRecords<byte[], byte[]> poll(Duration timeout) {
    ConsumerRecords<byte[], ByteBuffer> polled = (ConsumerRecords) super.poll(timeout);
    if (polled.isEmpty()) {
      return (ConsumerRecords) polled;
    }
    Map<TopicPartition, List<ConsumerRecord<byte[], byte[]>>> batches = new HashMap<>();
    for (TopicPartition partition : polled.partitions()) {
      List<ConsumerRecord<byte[], ByteBuffer>> records = polled.records(partition);
      List<ConsumerRecord<byte[], byte[]>> out = new ArrayList<>(records.size() / Batch.ROWS + 1);
      for (int i = 0; i < records.size(); i += Batch.ROWS) {
        out.add(batch(records.subList(i, Math.min(i + Batch.ROWS, records.size()))));
      }
      batches.put(partition, out);
    }
    return new ConsumerRecords<>(batches, polled.nextOffsets());
  }

  private static ConsumerRecord<byte[], byte[]> batch(List<ConsumerRecord<byte[], ByteBuffer>> records) {
    ConsumerRecord<byte[], ByteBuffer> first = records.get(0);
    int size = 0;
    for (ConsumerRecord<byte[], ByteBuffer> r : records) {
      size += Math.max(0, r.serializedValueSize());
    }
    return new ConsumerRecord<>(first.topic(), first.partition(), first.offset(), first.timestamp(), first.timestampType(),
        0, size, null, EMPTY, new RecordHeaders(new Header[] {new Batch(records)}), first.leaderEpoch());
  }
}
