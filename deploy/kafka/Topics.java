import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.errors.TopicExistsException;

/** java -cp 'JARS/*' Topics.java BROKERS PARTITIONS TOPIC...: creates the topics that do not exist yet. */
public class Topics {
  public static void main(String[] args) throws Exception {
    List<NewTopic> topics = Arrays.stream(args).skip(2)
        .map(name -> new NewTopic(name, Optional.of(Integer.parseInt(args[1])), Optional.empty()))
        .toList();
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", args[0]))) {
      for (var created : admin.createTopics(topics).values().entrySet()) {
        try {
          created.getValue().get();
          System.err.println("created " + created.getKey());
        } catch (ExecutionException e) {
          if (!(e.getCause() instanceof TopicExistsException)) {
            throw e;
          }
          System.err.println(created.getKey() + " exists");
        }
      }
    }
  }
}
