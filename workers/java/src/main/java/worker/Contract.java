package worker;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.UUID;

/** What a worker reads and writes: a job, its answer, and what is said of a message that is no job. */
final class Contract {
  static final ObjectMapper JSON = new ObjectMapper()
      .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);
  static final int MAX_MESSAGE_BYTES = 262_144;
  private static final int VERSION = 1;
  private static final int KEPT_BYTES = 700 * 1024; // of a message that is no job; four thirds of it as base64

  private Contract() {}

  /** One attempt of one step: its envelope, and its data as step.requested has it. Unknown fields are let be. */
  record Job(JsonNode envelope, JsonNode data) {
    String text(String name) {
      return data.get(name).textValue();
    }

    int attempt() {
      return data.get("attempt").intValue();
    }

    JsonNode context() {
      return data.get("inputs").get("context");
    }

    long timeoutMs() {
      return data.get("timeout_ms").longValue();
    }

    String key() {
      return text("task_id") + "|" + text("step") + "|" + attempt();
    }
  }

  /** What is sent, under its own id however often it is sent. */
  record Message(String address, String id, byte[] body) {}

  /** A message that is no job. It will be none however often it is delivered. */
  static final class Poison extends Exception {
    private static final long serialVersionUID = 1;
    final String code;
    final String pointer;

    Poison(String code, String pointer, String reason) {
      super(reason);
      this.code = code;
      this.pointer = pointer;
    }
  }

  /** How a handler says that it failed. `retryAfter` is in seconds, or null. */
  static final class Failed extends Exception {
    private static final long serialVersionUID = 1;
    final String code;
    final boolean retryable;
    final Double retryAfter;

    Failed(String code, String message, boolean retryable, Double retryAfter) {
      super(message);
      this.code = code;
      this.retryable = retryable;
      this.retryAfter = retryAfter;
    }

    Failed(String code, String message, boolean retryable) {
      this(code, message, retryable, null);
    }
  }

  /** Gives the job that a message asks for; its token goes to addresses in `results` only. */
  static Job readJob(byte[] body, String results) throws Poison {
    JsonNode event = parsed(body);
    if (!event.path("specversion").asText().equals("1.0") || !event.path("id").isTextual()) {
      throw new Poison("envelope.invalid", "/specversion", "expected a CloudEvent of specversion 1.0 with an id");
    }
    if (!event.path("type").asText().equals("step.requested")) {
      throw new Poison("message.unknown_type", "/type", "expected step.requested");
    }
    JsonNode data = event.path("data");
    for (String name : List.of("task_id", "step", "handler", "idempotency_key", "replyto", "token")) {
      demand(!data.path(name).asText().isEmpty() && data.path(name).isTextual(), "/data/" + name, "a text");
    }
    for (String name : List.of("attempt", "timeout_ms")) {
      demand(data.path(name).canConvertToLong() && data.path(name).isIntegralNumber() && data.path(name).longValue() > 0,
          "/data/" + name, "a whole number of at least 1");
    }
    for (String name : List.of("context", "results")) {
      demand(data.path("inputs").path(name).isObject(), "/data/inputs/" + name, "an object");
    }
    if (!data.get("replyto").textValue().startsWith(results)) {
      throw new Poison("message.replyto", "/data/replyto", "expected an address in " + results);
    }
    return new Job(event, data);
  }

  private static JsonNode parsed(byte[] body) throws Poison {
    try {
      return JSON.readTree(StandardCharsets.UTF_8.newDecoder().decode(java.nio.ByteBuffer.wrap(body)).toString());
    } catch (IOException error) {
      throw new Poison("json.malformed", "", "expected JSON, but " + error.getMessage());
    }
  }

  private static void demand(boolean holds, String pointer, String expected) throws Poison {
    if (!holds) {
      throw new Poison("message.invalid", pointer, "expected " + expected);
    }
  }

  /** Gives the answer that a job succeeded; Failed if no message can carry the result. */
  static Message completed(Job job, String worker, JsonNode result) throws Failed {
    Message message = answer(job, worker, "step.completed", "result", result);
    if (message.body().length > MAX_MESSAGE_BYTES) {
      throw new Failed("worker.result_too_large",
          "expected at most " + MAX_MESSAGE_BYTES + " bytes, found " + message.body().length, false);
    }
    return message;
  }

  static Message failed(Job job, String worker, Failed failed) {
    String message = String.valueOf(failed.getMessage());
    ObjectNode error = JSON.createObjectNode().put("code", failed.code)
        .put("message", message.substring(0, Math.min(message.length(), 4096))).put("retryable", failed.retryable);
    if (failed.retryAfter != null) {
      error.put("retry_after", failed.retryAfter);
    }
    return answer(job, worker, "step.failed", "error", error);
  }

  static Message heartbeat(Job job, String worker) {
    return answer(job, worker, "step.heartbeat", "progress", JSON.nullNode());
  }

  private static Message answer(Job job, String worker, String type, String name, JsonNode said) {
    ObjectNode event = event(type).put("partitionkey", job.text("task_id")).put("causationid", job.envelope.get("id").asText());
    for (String carried : List.of("correlationid", "tenant", "traceparent")) {
      if (job.envelope.has(carried)) {
        event.set(carried, job.envelope.get(carried));
      }
    }
    ObjectNode data = event.putObject("data").put("worker", worker);
    for (String echoed : List.of("task_id", "step", "attempt", "token")) {
      data.set(echoed, job.data.get(echoed));
    }
    data.set(name, said);
    return message(job.text("replyto"), event);
  }

  /** Asks the coordinators to keep a message that nobody can act on, for an operator to see. */
  static Message quarantined(String prefix, String queue, byte[] body, Poison poison) {
    ObjectNode event = event("message.quarantined");
    event.putObject("data").put("message_id", UUID.randomUUID().toString()).put("channel", "jobs." + queue)
        .put("code", poison.code).put("pointer", poison.pointer).put("reason", poison.getMessage())
        .put("body", Arrays.copyOf(body, Math.min(body.length, KEPT_BYTES))); // bytes become base64
    return message(prefix + ".results.0", event);
  }

  /** Says what a worker serves, so that mistakes are found before a task runs into them. */
  static Message announcement(String prefix, String worker, Collection<String> handlers) {
    ObjectNode event = event("worker.announced");
    var served = event.putObject("data").put("worker", worker).putArray("handlers");
    handlers.forEach(handler -> served.addObject().put("handler", handler).put("contract", VERSION));
    return message(prefix + ".tasks", event);
  }

  private static ObjectNode event(String type) {
    return JSON.createObjectNode().put("specversion", "1.0").put("id", UUID.randomUUID().toString())
        .put("source", "/stepbus/worker").put("type", type).put("time", Instant.now().toString())
        .put("datacontenttype", "application/json");
  }

  private static Message message(String address, ObjectNode event) {
    try {
      return new Message(address, event.get("id").asText(), JSON.writeValueAsBytes(event));
    } catch (JsonProcessingException error) {
      throw new IllegalStateException(error); // a tree can always be written
    }
  }
}
