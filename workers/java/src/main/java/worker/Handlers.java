package worker;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import worker.Contract.Failed;
import worker.Contract.Job;

/**
 * The warehouse and the post room of examples/order_fulfilment, and the probe that the conformance kit asks for. Every
 * effect's id is made of the idempotency key of its step: what was done once is found again, not done twice.
 */
final class Handlers {
  private static final String BUSY_CARRIER = "hermod";
  private static final Map<String, Integer> EFFECTS = new ConcurrentHashMap<>();

  static final Map<String, Worker.Handler> ALL = Map.of(
      "orders.reserve_inventory", Handlers::reserveInventory,
      "orders.create_shipment", Handlers::createShipment,
      "orders.send_confirmation", Handlers::sendConfirmation,
      "conform.probe", Handlers::probe);

  private Handlers() {}

  private static JsonNode reserveInventory(Job job, Worker.Heartbeat alive) throws Exception {
    int units = 0;
    for (JsonNode item : job.context().path("items")) {
      units += item.path("quantity").asInt();
    }
    return object().put("reservation", idOf("res", job)).put("units", units);
  }

  /** One carrier is always busy when first asked, and says when to ask again. */
  private static JsonNode createShipment(Job job, Worker.Heartbeat alive) throws Exception {
    JsonNode delivery = job.context().path("delivery");
    String carrier = delivery.path("carrier").asText();
    if (carrier.equals(BUSY_CARRIER) && job.attempt() == 1) {
      throw new Failed("carrier.busy", carrier + " takes no booking now", true, 0.3);
    }
    String label = delivery.path("country").asText() + "-" + job.context().path("order_id").asText();
    return object().put("shipment", idOf("shp", job)).put("carrier", carrier).put("label", label);
  }

  private static JsonNode sendConfirmation(Job job, Worker.Heartbeat alive) throws Exception {
    return object().put("message", idOf("msg", job)).put("sent_to", job.context().path("customer").path("email").asText());
  }

  /** Does what the context asks for. */
  private static JsonNode probe(Job job, Worker.Heartbeat alive) throws Exception {
    JsonNode wish = job.context();
    return switch (wish.path("do").asText()) {
      case "echo" -> object().set("echo", wish.get("value"));
      case "sleep" -> work(job, wish, alive);
      case "fail" -> throw new Failed(wish.path("code").asText(), wish.path("message").asText(),
          wish.path("retryable").asBoolean(), wish.has("retry_after") ? wish.get("retry_after").doubleValue() : null);
      case "big" -> object().put("blob", "x".repeat(wish.path("size").asInt()));
      case "effect" -> object().put("effects", EFFECTS.computeIfAbsent(job.text("idempotency_key"), key -> 1));
      default -> throw new Failed("probe.unknown", "expected to do echo, sleep, fail, big or effect", false);
    };
  }

  /** Takes its time, and says meanwhile that it is alive, unless it is to be silent. */
  private static JsonNode work(Job job, JsonNode wish, Worker.Heartbeat alive) throws Exception {
    long end = System.nanoTime() + (long) (wish.path("seconds").asDouble() * 1e9);
    long beatMs = Math.max(1, Math.min(job.timeoutMs() / 3, 1000));
    for (long leftMs; (leftMs = (end - System.nanoTime()) / 1_000_000) > 0; ) {
      Thread.sleep(Math.min(leftMs, beatMs));
      if (leftMs > beatMs && !wish.path("silent").asBoolean()) {
        alive.beat();
      }
    }
    return object().set("slept", wish.get("seconds"));
  }

  private static String idOf(String kind, Job job) throws Exception {
    byte[] sum = MessageDigest.getInstance("SHA-256").digest(job.text("idempotency_key").getBytes(StandardCharsets.UTF_8));
    return kind + "-" + HexFormat.of().formatHex(sum).substring(0, 12);
  }

  private static ObjectNode object() {
    return Contract.JSON.createObjectNode();
  }
}
