# frozen_string_literal: true

# The warehouse and the post room of examples/order_fulfilment, and the probe that the conformance kit asks for. Every
# effect's id is made of the idempotency key of its step: what was done once is found again, not done twice.

require "digest"
require_relative "contract"

module Handlers
  BUSY_CARRIER = "hermod"
  @effects = {}
  @lock = Mutex.new

  module_function

  def all
    {
      "orders.reserve_inventory" => method(:reserve_inventory),
      "orders.create_shipment" => method(:create_shipment),
      "orders.send_confirmation" => method(:send_confirmation),
      "conform.probe" => method(:probe)
    }
  end

  def reserve_inventory(job, _alive)
    { reservation: id_of("res", job), units: job.context["items"].sum { |item| item["quantity"] } }
  end

  # One carrier is always busy when first asked, and says when to ask again.
  def create_shipment(job, _alive)
    delivery = job.context["delivery"]
    carrier = delivery["carrier"]
    if carrier == BUSY_CARRIER && job["attempt"] == 1
      raise Contract::Failed.new("carrier.busy", "#{carrier} takes no booking now", retryable: true, retry_after: 0.3)
    end

    { shipment: id_of("shp", job), carrier: carrier, label: "#{delivery['country']}-#{job.context['order_id']}" }
  end

  def send_confirmation(job, _alive)
    { message: id_of("msg", job), sent_to: job.context["customer"]["email"] }
  end

  # Does what the context asks for.
  def probe(job, alive)
    wish = job.context
    case wish["do"]
    when "echo" then { echo: wish["value"] }
    when "sleep" then work(job, wish["seconds"], alive, silent: wish["silent"] == true)
    when "fail" then fail_as(wish)
    when "big" then { blob: "x" * Integer(wish["size"]) }
    when "effect" then { effects: once(job["idempotency_key"]) }
    else raise Contract::Failed.new("probe.unknown", "expected to do echo, sleep, fail, big or effect")
    end
  end

  def fail_as(wish)
    told = { retryable: wish["retryable"] == true, retry_after: wish["retry_after"] }
    raise Contract::Failed.new(wish["code"], wish["message"], **told)
  end

  # Takes its time, and says meanwhile that it is alive, unless it is to be silent.
  def work(job, seconds, alive, silent:)
    ends_at = now + seconds
    pause = [job.timeout_s / 3, 1.0].min
    while (left = ends_at - now).positive?
      sleep([left, pause].min)
      alive.call if left > pause && !silent
    end
    { slept: seconds }
  end

  # Has the effect of a key if nobody had it yet; gives how often it was had. A real one is kept in a database.
  def once(key)
    @lock.synchronize { @effects[key] ||= 1 }
  end

  def id_of(kind, job)
    "#{kind}-#{Digest::SHA256.hexdigest(job['idempotency_key'])[0, 12]}"
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
