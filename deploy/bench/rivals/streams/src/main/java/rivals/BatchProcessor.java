package rivals;

import ai.onnxruntime.OrtException;
import java.nio.ByteBuffer;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;

/** Decodes a batch, runs it, and forwards one output per record with the record's key and timestamp. */
final class BatchProcessor implements Processor<byte[], Batch, byte[], byte[]> {
  private final Payload payload;
  private ProcessorContext<byte[], byte[]> context;

  BatchProcessor(Payload payload) {
    this.payload = payload;
  }

  @Override
  public void init(ProcessorContext<byte[], byte[]> context) {
    this.context = context;
  }

  @Override
  public void process(Record<byte[], Batch> batch) {
    List<ConsumerRecord<byte[], ByteBuffer>> records = batch.value().records();
    int n = records.size();
    for (int i = 0; i < n; i++) {
      ConsumerRecord<byte[], ByteBuffer> r = records.get(i);
      try {
        payload.decode(i, r.value());
      } catch (RuntimeException e) {
        throw new IllegalArgumentException("decode " + r.topic() + "/" + r.partition() + "@" + r.offset(), e);
      }
    }
    try {
      payload.engine.run(n);
    } catch (OrtException e) {
      throw new IllegalStateException("run " + n + " rows", e);
    }
    for (int i = 0; i < n; i++) {
      ConsumerRecord<byte[], ByteBuffer> r = records.get(i);
      context.forward(new Record<>(r.key(), payload.encode(i), r.timestamp()));
    }
  }
}
