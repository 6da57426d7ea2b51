package rivals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.module.SimpleModule;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serializer;

/** Crayfish's message; Jackson writes the fields in this order. */
final class CrayfishMessage {
  public long creationTimestamp; // ms
  public int dataPointSz1; // datapoints
  public int dataPointSz2; // values of each
  public String dataPoint; // the values as decimals, each with a comma behind it
  public String prediction; // of each datapoint, as text; null in the input

  /** A mapper and a module of its own for every message, as published. */
  private static ObjectMapper mapper() {
    ObjectMapper mapper = new ObjectMapper();
    mapper.registerModule(new SimpleModule());
    return mapper;
  }

  static final class Reader implements Deserializer<CrayfishMessage> {
    @Override
    public CrayfishMessage deserialize(String topic, byte[] data) {
      try {
        JsonNode tree = mapper().readTree(data);
        CrayfishMessage message = new CrayfishMessage();
        message.creationTimestamp = tree.get("creationTimestamp").asLong();
        message.dataPointSz1 = tree.get("dataPointSz1").asInt();
        message.dataPointSz2 = tree.get("dataPointSz2").asInt();
        message.dataPoint = tree.get("dataPoint").asText();
        return message;
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  static final class Writer implements Serializer<CrayfishMessage> {
    @Override
    public byte[] serialize(String topic, CrayfishMessage message) {
      try {
        return mapper().writeValueAsBytes(message);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
