# frozen_string_literal: true

# A stepbus worker in Ruby: it knows the contract and a plain RabbitMQ client, nothing of stepbus.
#
# A job is acked only when the broker has confirmed the answer. Whatever goes wrong before that, the job is delivered
# again, here or to another worker: so an effect may happen twice, and is to be keyed by the job's idempotency key.

require "bunny"
require_relative "contract"
require_relative "handlers"

class Worker
  CONFIRM_S = 5
  MAX_DELIVERIES = 10 # a job that came back more often may be what kills its workers
  Settings = Struct.new(:url, :prefix, :name, :concurrency, :drain_s, :announced, keyword_init: true)

  # `concurrency` is how many jobs of each queue run at once; `drain_s` how long what runs may take after stop.
  def initialize(settings, handlers)
    @settings = settings
    @handlers = handlers
    @stopping = Queue.new # closed at the stop
    @sending = Mutex.new
    @running = {}
    @lock = Mutex.new
  end

  # Serves until stop; then what runs may finish within the drain time. The rest goes back when the connection closes.
  def run
    lanes = @handlers.keys.flat_map { |queue| Array.new(@settings.concurrency) { Thread.new { lane(queue) } } }
    announced = Thread.new { announce } if @settings.announced
    say "worker #{@settings.name} serves #{@handlers.keys.sort.join(', ')}"
    @stopping.pop
    announced&.kill
    ends_at = Handlers.now + @settings.drain_s
    lanes.each { |each| each.join([ends_at - Handlers.now, 0].max) }
    @answers&.connection&.close
    say "worker #{@settings.name} stopped"
  end

  def stop
    @stopping.close
  end

  # Gives the answer that ends a job: its handler runs for as long as the attempt may take.
  def ending(job, handler, count)
    raise Contract::Failed.new("worker.handler_unknown", "expected another worker", retryable: true) unless handler
    if count > MAX_DELIVERIES
      raise Contract::Failed.new("worker.redelivered", "delivered #{count} times, never answered", retryable: true)
    end

    Contract.answer(job, @settings.name, "step.completed", { result: attempt(job, handler) })
  rescue Contract::Failed => e
    Contract.answer(job, @settings.name, "step.failed", { error: e.error })
  end

  private

  def stopping?
    @stopping.closed?
  end

  def announce
    confirmed(Contract.announcement(@settings.prefix, @settings.name, @handlers.keys.sort))
  end

  # Takes one job of a queue after another, on a connection of its own that has one out at a time.
  def lane(queue)
    until stopping?
      begin
        serve(queue)
      rescue Bunny::Exception, Timeout::Error, IOError, SystemCallError => e
        say "queue #{queue}: #{e.class}: #{e.message}; trying again"
        sleep 1
      end
    end
  end

  def serve(queue)
    connection = connected
    channel = connection.create_channel
    channel.prefetch(1)
    waiting = Queue.new
    jobs = channel.queue("#{@settings.prefix}.jobs.#{queue}", passive: true)
    jobs.subscribe(manual_ack: true) { |*delivery| waiting << delivery }
    until stopping?
      raise IOError, "the channel was closed" unless channel.open?

      info, properties, body = waiting.empty? ? sleep(0.02) && nil : waiting.pop
      take(queue, channel, info.delivery_tag, properties, body) if info
    end
  ensure
    connection&.close # which gives back what is not acked
  end

  def take(queue, channel, tag, properties, body)
    return if stopping?

    job = Contract.read_job(body, "#{@settings.prefix}.results.")
    count = (properties.headers || {}).fetch("x-delivery-count", 0) + 1
    handler = @handlers[job["handler"]]
    if handler.nil? && count < MAX_DELIVERIES
      sleep 1 # RabbitMQ has no delay
      channel.nack(tag, false, true)
    else
      once_at_a_time(job) { confirmed(ending(job, handler, count)) }
      channel.ack(tag)
    end
  rescue Contract::Poison => e
    say "queue #{queue}: a message is no job: #{e.code} at #{e.pointer.inspect}: #{e.message}"
    confirmed(Contract.quarantined(@settings.prefix, queue, body, e))
    channel.ack(tag)
  end

  # A delivery of an attempt that is in hand already waits for the other, and then runs: its effects are keyed.
  def once_at_a_time(job, &work)
    key = [job["task_id"], job["step"], job["attempt"]]
    mutex = @lock.synchronize { @running[key] ||= Mutex.new }
    mutex.synchronize(&work)
  ensure
    @lock.synchronize { @running.delete(key) unless mutex&.locked? }
  end

  # Runs a handler for as long as the attempt may take. What it would give after that is dropped, and so is itself.
  def attempt(job, handler)
    deadline = Handlers.now + job.timeout_s
    alive = lambda do
      deadline = Handlers.now + job.timeout_s if published?(Contract.answer(job, @settings.name, "step.heartbeat", { progress: nil }))
    end
    work = Thread.new { handler.call(job, alive) }
    work.report_on_exception = false
    while (left = deadline - Handlers.now).positive?
      return work.value if work.join(left)
    end
    work.kill
    raise Contract::Failed.new("worker.timeout", "expected an end within #{job.timeout_s} s", retryable: true)
  rescue Contract::Failed
    raise
  rescue StandardError => e
    raise Contract::Failed.new(e.class.name, e.message, retryable: true)
  end

  # Publishes until the broker has confirmed.
  def confirmed(message)
    pause = 0.1
    until published?(message)
      sleep pause
      pause = [pause * 2, 2].min
    end
  end

  def published?(message)
    @sending.synchronize { send_confirmed(message) }
    true
  rescue Bunny::Exception, Timeout::Error, IOError, SystemCallError => e
    say "no confirm from #{message.address}: #{e.class}: #{e.message}"
    false
  end

  def send_confirmed(message)
    channel = answers
    @returned = false
    channel.default_exchange.publish(message.body, routing_key: message.address, persistent: true, mandatory: true,
                                                   message_id: message.id, content_type: "application/cloudevents+json")
    taken = Timeout.timeout(CONFIRM_S) { channel.wait_for_confirms }
    raise IOError, "there is no such queue" if @returned
    raise IOError, "the queue did not take it" unless taken
  rescue Timeout::Error
    channel.connection.close
    raise
  end

  def answers
    return @answers if @answers&.open?

    @answers = connected.create_channel
    @answers.confirm_select
    @answers.default_exchange.on_return { @returned = true }
    @answers
  end

  # Gives a connection; a lost one is not mended but left for another.
  def connected
    connection = Bunny.new(@settings.url.chomp("/"), automatically_recover: false, logger: Logger.new(File::NULL))
    connection.start
    connection
  end

  def say(text)
    warn "#{Time.now.utc.iso8601(3)} #{text}"
  end
end

if $PROGRAM_NAME == __FILE__
  worker = Worker.new(
    Worker::Settings.new(
      url: ENV.fetch("STEPBUS_BUS", "amqp://guest:guest@127.0.0.1:5672"),
      prefix: ENV.fetch("STEPBUS_PREFIX", "stepbus"),
      name: ENV.fetch("STEPBUS_WORKER", "ruby-#{Process.pid}"),
      concurrency: Integer(ENV.fetch("STEPBUS_CONCURRENCY", "4")),
      drain_s: Float(ENV.fetch("STEPBUS_DRAIN", "30")),
      announced: ENV.fetch("STEPBUS_ANNOUNCE", "1") == "1"
    ), Handlers.all
  )
  # A handler of a signal may take no lock: it tells a thread, which does.
  told, tell = IO.pipe
  %w[TERM INT].each { |signal| trap(signal) { tell.write_nonblock(".") } }
  Thread.new { told.read(1) && worker.stop }
  worker.run
  exit!(0) # a handler that ran past the drain time would keep the process alive
end
