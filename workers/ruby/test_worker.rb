# frozen_string_literal: true

# `ruby test_worker.rb`

require "minitest/autorun"
require_relative "worker"

class WorkerTest < Minitest::Test
  RELEASED = File.read(File.join(__dir__, "../../contracts/stepbus/contracts/golden/messages/step.requested.v1.json"))
  RESULTS = "stepbus.results."

  def job(context)
    event = JSON.parse(RELEASED)
    event["later"] = 1
    event["data"].update("timeout_ms" => 200, "inputs" => { "context" => context, "results" => {} })
    Contract.read_job(JSON.generate(event), RESULTS)
  end

  # Gives the answer that ends a job of the probe.
  def ended(context)
    worker = Worker.new(Worker::Settings.new(name: "w"), {})
    JSON.parse(worker.ending(job(context), Handlers.all["conform.probe"], 1).body)
  end

  def test_an_answer_echoes_what_its_job_said
    asked = JSON.parse(RELEASED)
    said = ended({ "do" => "echo", "value" => [1, "é", nil] })

    assert_equal({ "echo" => [1, "é", nil] }, said["data"]["result"])
    assert_equal [asked["id"], asked["tenant"]], [said["causationid"], said["tenant"]]
    assert_equal ["step.completed", asked["data"]["token"]], [said["type"], said["data"]["token"]]
  end

  def test_a_failure_says_what_it_is
    [
      [{ "do" => "fail", "code" => "a.b", "message" => "m", "retryable" => true }, "a.b", true],
      [{ "do" => "big", "size" => 300_000 }, "worker.result_too_large", false],
      [{ "do" => "sleep", "seconds" => 60, "silent" => true }, "worker.timeout", true],
      [{}, "probe.unknown", false]
    ].each do |context, code, retryable|
      assert_equal [code, retryable], ended(context)["data"]["error"].values_at("code", "retryable")
    end
  end

  def test_what_is_no_job_says_why_and_is_handed_over_whole
    {
      "{" => "json.malformed", "\xff" => "json.malformed", "[]" => "envelope.invalid",
      RELEASED.sub('step.requested"', 'task.failed"') => "message.unknown_type",
      RELEASED.sub('"attempt":1', '"attempt":"1"') => "message.invalid",
      RELEASED.sub("stepbus.results.3", "stepbus.events") => "message.replyto"
    }.each do |body, code|
      poison = assert_raises(Contract::Poison) { Contract.read_job(body, RESULTS) }
      data = JSON.parse(Contract.quarantined("p", "q", body, poison).body)["data"]

      assert_equal [code, "jobs.q"], data.values_at("code", "channel")
      assert_equal body.b, Base64.decode64(data["body"])
    end
  end

  def test_an_effect_is_had_once_per_key
    2.times { assert_equal({ "effects" => 1 }, ended({ "do" => "effect" })["data"]["result"]) }
  end

  def test_work_says_that_it_is_alive
    beats = 0
    Handlers.probe(job({ "do" => "sleep", "seconds" => 0.3 }), -> { beats += 1 })

    assert_operator beats, :>=, 3
  end
end
