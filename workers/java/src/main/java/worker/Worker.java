package worker;

import com.fasterxml.jackson.databind.JsonNode;
import io.nats.client.Connection;
import io.nats.client.ConsumerContext;
import io.nats.client.JetStream;
import io.nats.client.JetStreamApiException;
import io.nats.client.Message;
import io.nats.client.PublishOptions;
import io.nats.client.api.AckPolicy;
import io.nats.client.api.ConsumerConfiguration;
import io.nats.client.api.DeliverPolicy;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import worker.Contract.Failed;
import worker.Contract.Job;
import worker.Contract.Poison;

/**
 * A stepbus worker in Java: it knows the contract and a plain NATS client, nothing of stepbus.
 *
 * <p>A job is acked only when the broker has confirmed the answer. Whatever goes wrong before that, the job is delivered
 * again, here or to another worker: so an effect may happen twice, and is to be keyed by the job's idempotency key.
 */
final class Worker {
  private static final System.Logger LOG = System.getLogger("worker");
  private static final Duration ACK_WAIT = Duration.ofSeconds(30);
  private static final Duration CONFIRM = Duration.ofSeconds(5);
  private static final int CONSUMER_EXISTS = 10148;
  private static final int MAX_DELIVERIES = 10; // a job that came back more often may be what kills its workers

  /** Does the work of a step; it is interrupted when the attempt's time is over. */
  interface Handler {
    JsonNode run(Job job, Heartbeat alive) throws Exception;
  }

  /** Says that an attempt is alive: its time starts anew. */
  interface Heartbeat {
    void beat();
  }

  /** `concurrency` is how many jobs of each queue run at once; `drain` how long what runs may take after stop(). */
  record Settings(String prefix, String name, int concurrency, Duration drain, boolean announced) {}

  private final Connection connection;
  private final JetStream stream;
  private final Settings settings;
  private final Map<String, Handler> handlers;
  private final Map<String, List<Message>> running = new ConcurrentHashMap<>();
  private final CountDownLatch stopping = new CountDownLatch(1);
  private final ExecutorService working = Executors.newCachedThreadPool();
  private final ScheduledExecutorService keeping = Executors.newSingleThreadScheduledExecutor();
  private volatile boolean closed;

  Worker(Connection connection, Settings settings, Map<String, Handler> handlers) throws IOException {
    this.connection = connection;
    this.stream = connection.jetStream();
    this.settings = settings;
    this.handlers = handlers;
  }

  void stop() {
    stopping.countDown();
  }

  /** Serves until stop(); then what runs may finish within the drain time, and the rest is given back. */
  void run() throws InterruptedException {
    ExecutorService lanes = Executors.newCachedThreadPool();
    handlers.keySet().forEach(queue -> {
      for (int lane = 0; lane < settings.concurrency; lane++) {
        lanes.execute(() -> lane(queue));
      }
    });
    if (settings.announced) {
      working.execute(() -> confirmed(Contract.announcement(settings.prefix, settings.name, new TreeSet<>(handlers.keySet()))));
    }
    LOG.log(System.Logger.Level.INFO, "worker {0} serves {1}", settings.name, new TreeSet<>(handlers.keySet()));
    stopping.await();
    lanes.shutdown();
    if (!lanes.awaitTermination(settings.drain.toMillis(), TimeUnit.MILLISECONDS)) {
      closed = true;
      running.values().forEach(messages -> messages.forEach(Message::nak));
    }
    try {
      connection.drain(CONFIRM).get(CONFIRM.toMillis(), TimeUnit.MILLISECONDS);
    } catch (ExecutionException | TimeoutException error) {
      say("not all was sent: " + error);
    }
    say("worker " + settings.name + " stopped");
  }

  /** Takes one job of a queue after another. */
  private void lane(String queue) {
    while (stopping.getCount() > 0) {
      try {
        ConsumerContext consumer = consumer(queue);
        long everyMs = consumer.getCachedConsumerInfo().getConsumerConfiguration().getAckWait().toMillis() / 3;
        while (stopping.getCount() > 0) {
          Message message = consumer.next(Duration.ofSeconds(1));
          if (message != null) {
            take(queue, message, everyMs);
          }
        }
      } catch (Exception error) {
        say("queue " + queue + ": " + error + "; trying again");
        pause(1000);
      }
    }
  }

  /** Creates the queue's consumer as every worker, in any language, does; one that is there is taken as it is. */
  private ConsumerContext consumer(String queue) throws IOException, JetStreamApiException {
    String of = settings.prefix.toUpperCase() + "_JOBS";
    String name = queue.replace('.', '=');
    ConsumerConfiguration wanted = ConsumerConfiguration.builder().name(name).durable(name)
        .filterSubject(settings.prefix + ".jobs." + queue).deliverPolicy(DeliverPolicy.All).ackPolicy(AckPolicy.Explicit)
        .ackWait(ACK_WAIT).maxDeliver(-1).maxAckPending(1000).build();
    try {
      connection.jetStreamManagement().createConsumer(of, wanted);
    } catch (JetStreamApiException error) {
      if (error.getApiErrorCode() != CONSUMER_EXISTS) {
        throw error;
      }
    }
    return connection.getStreamContext(of).getConsumerContext(name);
  }

  private void take(String queue, Message message, long everyMs) {
    Job job;
    try {
      job = Contract.readJob(message.getData(), settings.prefix + ".results.");
    } catch (Poison poison) {
      say("queue " + queue + ": a message is no job: " + poison.code + " at " + poison.pointer + ": " + poison.getMessage());
      if (confirmed(Contract.quarantined(settings.prefix, queue, message.getData(), poison))) {
        message.ack();
      }
      return;
    }
    long count = message.metaData().deliveredCount();
    Handler handler = handlers.get(job.text("handler"));
    if (stopping.getCount() == 0) {
      message.nak();
    } else if (handler == null && count < MAX_DELIVERIES) {
      message.nakWithDelay(Duration.ofSeconds(Math.min(1L << (count - 1), 30)));
    } else if (begins(job.key(), message)) {
      var kept = keeping.scheduleAtFixedRate(
          () -> running.getOrDefault(job.key(), List.of()).forEach(Message::inProgress), everyMs, everyMs, TimeUnit.MILLISECONDS);
      boolean answered = confirmed(ending(job, handler, count));
      kept.cancel(false);
      running.remove(job.key()).forEach(each -> {
        if (answered) {
          each.ack();
        }
      });
    } // else it is in hand already, and this delivery is acked with the other
  }

  private boolean begins(String key, Message message) {
    var first = new boolean[1];
    running.compute(key, (same, messages) -> {
      first[0] = messages == null;
      List<Message> all = messages == null ? new java.util.concurrent.CopyOnWriteArrayList<>() : messages;
      all.add(message);
      return all;
    });
    return first[0];
  }

  private Contract.Message ending(Job job, Handler handler, long count) {
    try {
      if (handler == null) {
        throw new Failed("worker.handler_unknown", "expected a worker of " + job.text("handler"), true);
      }
      if (count > MAX_DELIVERIES) {
        throw new Failed("worker.redelivered", "delivered " + count + " times and never answered", true);
      }
      return Contract.completed(job, settings.name, attempt(job, handler));
    } catch (Failed failed) {
      return Contract.failed(job, settings.name, failed);
    }
  }

  /** Runs a handler for as long as the attempt may take. What it gives after that is dropped. */
  private JsonNode attempt(Job job, Handler handler) throws Failed {
    var deadline = new AtomicLong(System.nanoTime() + job.timeoutMs() * 1_000_000);
    Future<JsonNode> result = working.submit(() -> handler.run(job, () -> {
      if (System.nanoTime() < deadline.get() && published(Contract.heartbeat(job, settings.name))) {
        deadline.set(System.nanoTime() + job.timeoutMs() * 1_000_000);
      }
    }));
    try {
      for (long left; (left = deadline.get() - System.nanoTime()) > 0; ) {
        try {
          return result.get(left, TimeUnit.NANOSECONDS);
        } catch (TimeoutException meanwhile) {
          continue; // unless it has said that it is alive
        }
      }
      result.cancel(true);
      throw new Failed("worker.timeout", "expected an end within " + job.timeoutMs() + " ms", true);
    } catch (ExecutionException error) {
      if (error.getCause() instanceof Failed failed) {
        throw failed;
      }
      throw new Failed(error.getCause().getClass().getSimpleName(), String.valueOf(error.getCause().getMessage()), true);
    } catch (InterruptedException error) {
      throw new Failed("worker.timeout", "interrupted", true);
    }
  }

  /** Publishes until the broker has confirmed; false if the worker was closed before. */
  private boolean confirmed(Contract.Message message) {
    for (long pauseMs = 100; !closed; pauseMs = Math.min(pauseMs * 2, 2000)) {
      if (published(message)) {
        return true;
      }
      pause(pauseMs);
    }
    return false;
  }

  private boolean published(Contract.Message message) {
    try {
      var options = PublishOptions.builder().messageId(message.id()).streamTimeout(CONFIRM).build();
      stream.publish(message.address(), message.body(), options);
      return true;
    } catch (IOException | JetStreamApiException | IllegalStateException error) {
      say("no confirm from " + message.address() + ": " + error);
      return false;
    }
  }

  private static void pause(long ms) {
    try {
      Thread.sleep(ms);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }

  private static void say(String text) {
    LOG.log(System.Logger.Level.INFO, text);
  }
}
