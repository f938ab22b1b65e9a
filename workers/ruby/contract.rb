# frozen_string_literal: true

# What a worker reads and writes: a job, its answer, and what is said of a message that is no job.

require "base64"
require "json"
require "securerandom"
require "time"

module Contract
  MAX_MESSAGE_BYTES = 262_144
  VERSION = 1
  KEPT_BYTES = 700 * 1024 # of a message that is no job; four thirds of it as base64
  TEXTS = %w[task_id step handler idempotency_key replyto token].freeze

  # A message that is no job. It will be none however often it is delivered.
  class Poison < StandardError
    attr_reader :code, :pointer

    def initialize(code, pointer, reason)
      super(reason)
      @code = code
      @pointer = pointer
    end
  end

  # How a handler says that it failed. `retry_after` is in seconds.
  class Failed < StandardError
    attr_reader :error

    def initialize(code, message = "", retryable: false, retry_after: nil)
      super(message)
      @error = { code: code, message: message.to_s[0, 4096], retryable: retryable }
      @error[:retry_after] = retry_after if retry_after
    end
  end

  # One attempt of one step: its envelope, and its data as step.requested has it. Unknown fields are let be.
  Job = Struct.new(:envelope) do
    def [](name)
      envelope["data"][name]
    end

    def context
      self["inputs"]["context"]
    end

    def timeout_s
      self["timeout_ms"] / 1000.0
    end
  end

  # What is sent, under its own id however often it is sent.
  Message = Struct.new(:address, :id, :body)

  module_function

  # Gives the job that a message asks for; its token goes to addresses in `results` only.
  def read_job(body, results)
    event = parsed(body)
    unless event.is_a?(Hash) && event["specversion"] == "1.0" && event["id"].is_a?(String)
      raise Poison.new("envelope.invalid", "/specversion", "expected a CloudEvent of specversion 1.0 with an id")
    end
    raise Poison.new("message.unknown_type", "/type", "expected step.requested") if event["type"] != "step.requested"

    data = event["data"]
    demand(data.is_a?(Hash), "/data", "an object")
    TEXTS.each { |name| demand(data[name].is_a?(String) && !data[name].empty?, "/data/#{name}", "a text") }
    %w[attempt timeout_ms].each do |name|
      demand(data[name].is_a?(Integer) && data[name].positive?, "/data/#{name}", "a whole number of at least 1")
    end
    %w[context results].each do |name|
      demand(data["inputs"].is_a?(Hash) && data["inputs"][name].is_a?(Hash), "/data/inputs/#{name}", "an object")
    end
    unless data["replyto"].start_with?(results)
      raise Poison.new("message.replyto", "/data/replyto", "expected an address in #{results}")
    end

    Job.new(event)
  end

  def parsed(body)
    text = body.dup.force_encoding(Encoding::UTF_8)
    raise Poison.new("json.malformed", "", "expected UTF-8") unless text.valid_encoding?

    JSON.parse(text)
  rescue JSON::ParserError
    raise Poison.new("json.malformed", "", "expected JSON")
  end

  def demand(holds, pointer, expected)
    raise Poison.new("message.invalid", pointer, "expected #{expected}") unless holds
  end

  # Gives a message about a job; Failed if no message can carry it.
  def answer(job, worker, type, said)
    carried = job.envelope.slice("correlationid", "tenant", "traceparent")
    echoed = %w[task_id step attempt token].to_h { |name| [name, job[name]] }
    attributes = { partitionkey: job["task_id"], causationid: job.envelope["id"], **carried }
    made = message(job["replyto"], type, { **echoed, worker: worker, **said }, attributes)
    return made if made.body.bytesize <= MAX_MESSAGE_BYTES

    found = "expected at most #{MAX_MESSAGE_BYTES} bytes, found #{made.body.bytesize}"
    raise Failed.new("worker.result_too_large", found)
  rescue JSON::GeneratorError
    raise Failed.new("worker.result_invalid", "expected what JSON can say")
  end

  # Asks the coordinators to keep a message that nobody can act on, for an operator to see.
  def quarantined(prefix, queue, body, poison)
    message("#{prefix}.results.0", "message.quarantined", {
              message_id: SecureRandom.uuid, channel: "jobs.#{queue}", code: poison.code, pointer: poison.pointer,
              reason: poison.message, body: Base64.strict_encode64(body.byteslice(0, KEPT_BYTES))
            })
  end

  # Says what a worker serves, so that mistakes are found before a task runs into them.
  def announcement(prefix, worker, handlers)
    served = handlers.map { |name| { handler: name, contract: VERSION } }
    message("#{prefix}.tasks", "worker.announced", { worker: worker, handlers: served })
  end

  def message(address, type, data, attributes = {})
    id = SecureRandom.uuid
    event = {
      specversion: "1.0", id: id, source: "/stepbus/worker", type: type, time: Time.now.utc.iso8601(3),
      datacontenttype: "application/json", **attributes, data: data
    }
    Message.new(address, id, JSON.generate(event))
  end
end
