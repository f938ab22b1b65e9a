package worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import worker.Contract.Failed;
import worker.Contract.Job;
import worker.Contract.Poison;

class WorkerTest {
  private static final Path GOLDEN = Path.of("../../contracts/stepbus/contracts/golden/messages/step.requested.v1.json");
  private static final String RESULTS = "stepbus.results.";

  private static ObjectNode released() throws Exception {
    return (ObjectNode) Contract.JSON.readTree(Files.readAllBytes(GOLDEN));
  }

  private static Job job(String context) throws Exception {
    ObjectNode event = released().put("later", 1);
    ObjectNode data = (ObjectNode) event.get("data");
    data.put("timeout_ms", 100).putObject("inputs").set("context", Contract.JSON.readTree(context));
    ((ObjectNode) data.get("inputs")).putObject("results");
    return Contract.readJob(Contract.JSON.writeValueAsBytes(event), RESULTS);
  }

  private static JsonNode probed(String context, Worker.Heartbeat alive) throws Exception {
    return Handlers.ALL.get("conform.probe").run(job(context), alive);
  }

  @Test
  void anAnswerEchoesWhatItsJobSaid() throws Exception {
    Job job = job("{\"do\":\"echo\",\"value\":[1,\"é\",null,1e21]}");
    var message = Contract.completed(job, "w", Handlers.ALL.get("conform.probe").run(job, () -> {}));
    JsonNode said = Contract.JSON.readTree(message.body());
    assertEquals("stepbus.results.3", message.address());
    assertEquals(released().get("id"), said.get("causationid"));
    assertEquals(released().get("data").get("token"), said.get("data").get("token"));
    assertEquals(job.context().get("value"), said.get("data").get("result").get("echo"));
  }

  @Test
  void whatIsNoJobSaysWhy() throws Exception {
    String whole = Files.readString(GOLDEN);
    for (var each : Map.of(
        "{", "json.malformed", whole + "x", "json.malformed", "[]", "envelope.invalid",
        whole.replace("step.requested\"", "task.failed\""), "message.unknown_type",
        whole.replace("\"attempt\":1", "\"attempt\":\"1\""), "message.invalid",
        whole.replace("\"step\":\"charge_card\"", "\"x\":1"), "message.invalid",
        whole.replace("stepbus.results.3", "stepbus.events"), "message.replyto").entrySet()) {
      byte[] body = each.getKey().getBytes(StandardCharsets.UTF_8);
      Poison poison = assertThrows(Poison.class, () -> Contract.readJob(body, RESULTS), each.getKey());
      assertEquals(each.getValue(), poison.code);
      JsonNode entry = Contract.JSON.readTree(Contract.quarantined("stepbus", "q", body, poison).body()).get("data");
      assertEquals("jobs.q", entry.get("channel").asText());
      assertEquals(each.getKey(), new String(entry.get("body").binaryValue(), StandardCharsets.UTF_8));
    }
    assertEquals("json.malformed", assertThrows(Poison.class, () -> Contract.readJob(new byte[] {-1}, RESULTS)).code);
  }

  @Test
  void aFailureSaysWhatItIs() throws Exception {
    var failed = assertThrows(Failed.class,
        () -> probed("{\"do\":\"fail\",\"code\":\"a.b\",\"message\":\"m\",\"retryable\":true,\"retry_after\":2.5}", () -> {}));
    JsonNode error = Contract.JSON.readTree(Contract.failed(job("{}"), "w", failed).body()).get("data").get("error");
    assertEquals("{\"code\":\"a.b\",\"message\":\"m\",\"retryable\":true,\"retry_after\":2.5}", error.toString());
    assertEquals("probe.unknown", assertThrows(Failed.class, () -> probed("{}", () -> {})).code);
    JsonNode big = probed("{\"do\":\"big\",\"size\":300000}", () -> {});
    assertEquals("worker.result_too_large", assertThrows(Failed.class, () -> Contract.completed(job("{}"), "w", big)).code);
  }

  @Test
  void anEffectIsHadOncePerKeyAndWorkSaysThatItIsAlive() throws Exception {
    for (int time = 0; time < 2; time++) {
      assertEquals(1, probed("{\"do\":\"effect\"}", () -> {}).get("effects").asInt());
    }
    var beats = new AtomicInteger();
    assertEquals("0.3", probed("{\"do\":\"sleep\",\"seconds\":0.3}", beats::incrementAndGet).get("slept").asText());
    assertTrue(beats.get() >= 3, "heartbeats: " + beats);
  }

  @Test
  void anAnnouncementSaysWhatIsServed() throws Exception {
    JsonNode said = Contract.JSON.readTree(Contract.announcement("p", "w", List.of("a.b")).body());
    assertEquals("{\"worker\":\"w\",\"handlers\":[{\"handler\":\"a.b\",\"contract\":1}]}", said.get("data").toString());
  }
}
