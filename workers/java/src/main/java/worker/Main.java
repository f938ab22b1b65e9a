package worker;

import io.nats.client.Connection;
import io.nats.client.Nats;
import io.nats.client.Options;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;

/** Serves the handlers as the environment says. */
final class Main {
  private Main() {}

  public static void main(String[] arguments) throws Exception {
    Map<String, String> environment = System.getenv();
    String url = environment.getOrDefault("STEPBUS_BUS", "nats://127.0.0.1:4222");
    var settings = new Worker.Settings(
        environment.getOrDefault("STEPBUS_PREFIX", "stepbus"),
        environment.getOrDefault("STEPBUS_WORKER", "java-" + ProcessHandle.current().pid()),
        Integer.parseInt(environment.getOrDefault("STEPBUS_CONCURRENCY", "4")),
        Duration.ofSeconds(Long.parseLong(environment.getOrDefault("STEPBUS_DRAIN", "30"))),
        environment.getOrDefault("STEPBUS_ANNOUNCE", "1").equals("1"));
    var serving = new AtomicReference<Worker>();
    Thread main = Thread.currentThread();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> { // on SIGTERM and SIGINT
      if (serving.get() != null) {
        serving.get().stop();
        join(main, settings.drain().plusSeconds(10));
      }
    }));
    Options options = Options.builder().server(url).connectionName(settings.name()).maxReconnects(-1).build();
    Connection connection = Nats.connectReconnectOnConnect(options);
    serving.set(new Worker(connection, settings, Handlers.ALL));
    serving.get().run();
    Runtime.getRuntime().halt(0); // a handler that ran past the drain time would keep the process alive
  }

  private static void join(Thread thread, Duration within) {
    try {
      thread.join(within.toMillis());
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }
}
