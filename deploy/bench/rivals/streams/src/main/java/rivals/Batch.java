package rivals;

import java.nio.ByteBuffer;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.serialization.Deserializer;

/**
 * Up to {@link #ROWS} successive records of a partition, which Streams sees as one record. They travel in its headers,
 * the one place of a ConsumerRecord that may hold any object, so that nothing is copied.
 */
record Batch(List<ConsumerRecord<byte[], ByteBuffer>> records) implements Header {
  static final int ROWS = 256;

  @Override
  public String key() {
    return "batch";
  }

  @Override
  public byte[] value() {
    return null;
  }

  /** The topology's value deserializer: takes the batch out of the headers. */
  static final class Unwrap implements Deserializer<Batch> {
    @Override
    public Batch deserialize(String topic, Headers headers, byte[] data) {
      return (Batch) headers.lastHeader("batch");
    }

    @Override
    public Batch deserialize(String topic, byte[] data) {
      throw new UnsupportedOperationException("a batch needs the record's headers");
    }
  }
}
