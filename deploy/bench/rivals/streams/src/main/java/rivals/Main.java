package rivals;

import java.util.concurrent.CompletableFuture;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import sun.misc.Signal;

/** Runs a contender until SIGTERM (exit 0) or until it fails (exit 1). */
public final class Main {
  public static void main(String[] args) throws Exception {
    Job job;
    KafkaStreams streams;
    try {
      job = Job.of(args);
      streams = job.payload().equals("crayfish") ? Crayfish.streams(job) : BatchedStreams.streams(job);
    } catch (IllegalArgumentException e) {
      System.err.println(e.getMessage());
      System.exit(2);
      return;
    }
    CompletableFuture<Integer> end = new CompletableFuture<>();
    for (String name : new String[] {"TERM", "INT"}) {
      Signal.handle(new Signal(name), signal -> end.complete(0));
    }
    streams.setStateListener((now, before) -> {
      if (now == KafkaStreams.State.RUNNING && before == KafkaStreams.State.REBALANCING) {
        System.err.println("ready");
      }
    });
    streams.setUncaughtExceptionHandler(e -> {
      e.printStackTrace();
      end.complete(1);
      return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    });
    streams.start();
    int status = end.get();
    streams.close(); // waits for the producers, then commits
    System.exit(status);
  }
}
