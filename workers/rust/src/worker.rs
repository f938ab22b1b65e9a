//! A stepbus worker in Rust: it knows the contract and a plain NATS client, nothing of stepbus.
//!
//! A job is acked only when the broker has confirmed the answer. Whatever goes wrong before that, the job is delivered
//! again, here or to another worker: so an effect may happen twice, and is to be keyed by the job's idempotency key.

use crate::contract::{Failed, Job, Message, announcement, ending, heartbeat, quarantined, read_job};
use crate::handlers;
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::{AckKind, Context, Message as Delivery};
use futures_util::StreamExt;
use serde_json::Value;
use std::collections::HashMap;
use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

const ACK_WAIT: Duration = Duration::from_secs(30);
const CONFIRM: Duration = Duration::from_secs(5);
const MAX_DELIVERIES: i64 = 10; // a job that came back more often may be what kills its workers

type Anything<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// `concurrency` is how many jobs of each queue run at once; `drain` how long what runs may take after the stop.
pub struct Worker {
    pub stream: Context,
    pub prefix: String,
    pub name: String,
    pub concurrency: usize,
    pub drain: Duration,
    pub announced: bool,
    pub stopping: CancellationToken,
    pub closed: CancellationToken,
    /// Of each attempt in hand, all its deliveries.
    pub running: Mutex<HashMap<String, Vec<Arc<Delivery>>>>,
}

/// How a handler says that its attempt is alive: its time starts anew.
pub struct Alive {
    say: Option<(Arc<Worker>, Arc<Job>)>,
    said: Notify,
    times: AtomicU32,
}

impl Alive {
    pub async fn beat(&self) {
        let is_said = match &self.say {
            Some((worker, job)) => worker.publish(&heartbeat(job, &worker.name)).await.is_ok(),
            None => true,
        };
        if is_said {
            self.times.fetch_add(1, Ordering::Relaxed);
            self.said.notify_one();
        }
    }
}

impl Worker {
    /// Serves until it is stopped; then what runs may finish within the drain time, and the rest is given back.
    pub async fn run(self: Arc<Self>) {
        let mut lanes = JoinSet::new();
        for queue in handlers::NAMES {
            for _ in 0..self.concurrency {
                lanes.spawn(self.clone().lane(queue));
            }
        }
        if self.announced {
            let (worker, message) = (self.clone(), announcement(&self.prefix, &self.name, &handlers::NAMES));
            tokio::spawn(async move { worker.confirmed(&message).await });
        }
        eprintln!("worker {} serves {:?}", self.name, handlers::NAMES);
        self.stopping.cancelled().await;
        let all = async { while lanes.join_next().await.is_some() {} };
        if timeout(self.drain, all).await.is_err() {
            self.closed.cancel(); // which gives back what is in hand
            let _ = timeout(CONFIRM, async { while lanes.join_next().await.is_some() {} }).await;
        }
        eprintln!("worker {} stopped", self.name);
    }

    /// Takes one job of a queue after another.
    async fn lane(self: Arc<Self>, queue: &'static str) {
        while !self.stopping.is_cancelled() {
            if let Err(error) = self.clone().serve(queue).await {
                eprintln!("queue {queue}: {error}; trying again");
                tokio::select! { () = sleep(Duration::from_secs(1)) => {}, () = self.stopping.cancelled() => {} }
            }
        }
    }

    async fn serve(self: Arc<Self>, queue: &str) -> Anything<()> {
        let consumer = self.consumer(queue).await?;
        let every = consumer.cached_info().config.ack_wait / 3;
        while !self.stopping.is_cancelled() {
            let mut pulled = consumer.fetch().max_messages(1).expires(Duration::from_secs(1)).messages().await?;
            while let Some(delivery) = pulled.next().await {
                self.clone().take(queue, Arc::new(delivery?), every).await?;
            }
        }
        Ok(())
    }

    /// Creates the queue's consumer as every worker, in any language, does; one that is there is taken as it is.
    async fn consumer(&self, queue: &str) -> Anything<PullConsumer> {
        let (stream, name) = (format!("{}_JOBS", self.prefix.to_uppercase()), queue.replace('.', "="));
        let wanted = pull::Config {
            name: Some(name.clone()),
            durable_name: Some(name.clone()),
            filter_subject: format!("{}.jobs.{queue}", self.prefix),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            max_ack_pending: 1000,
            ..Default::default()
        };
        match self.stream.create_consumer_strict_on_stream(wanted, &stream).await {
            Ok(consumer) => Ok(consumer),
            Err(_) => Ok(self.stream.get_consumer_from_stream(name, &stream).await?),
        }
    }

    async fn take(self: Arc<Self>, queue: &str, delivery: Arc<Delivery>, every: Duration) -> Anything<()> {
        if self.stopping.is_cancelled() {
            return delivery.ack_with(AckKind::Nak(None)).await;
        }
        let job = match read_job(&delivery.payload, &format!("{}.results.", self.prefix)) {
            Ok(job) => Arc::new(job),
            Err(poison) => {
                eprintln!(
                    "queue {queue}: a message is no job: {} at {:?}: {}",
                    poison.code, poison.pointer, poison.reason
                );
                if self.confirmed(&quarantined(&self.prefix, queue, &delivery.payload, &poison)).await {
                    delivery.ack().await?;
                }
                return Ok(());
            }
        };
        let count = delivery.info().map_err(|error| error.to_string())?.delivered;
        if !handlers::NAMES.contains(&job.text("handler")) && count < MAX_DELIVERIES {
            let delay = Duration::from_secs(1 << (count - 1).clamp(0, 5)).min(Duration::from_secs(30));
            return delivery.ack_with(AckKind::Nak(Some(delay))).await;
        }
        let key = job.key();
        if !self.begins(key.clone(), delivery) {
            return Ok(()); // it is in hand already, and this delivery is acked with the other
        }
        let is_answered = tokio::select! {
            answer = self.answered(job.clone(), count) => answer,
            () = self.keep(&key, every) => false,
            () = self.closed.cancelled() => false,
        };
        let deliveries = self.running().remove(&key).unwrap_or_default();
        for each in deliveries {
            each.ack_with(if is_answered { AckKind::Ack } else { AckKind::Nak(None) }).await?;
        }
        Ok(())
    }

    async fn answered(self: &Arc<Self>, job: Arc<Job>, count: i64) -> bool {
        let outcome = if count > MAX_DELIVERIES {
            Err(Failed::new("worker.redelivered", format!("delivered {count} times and never answered"), true))
        } else {
            self.attempt(job.clone()).await
        };
        self.confirmed(&ending(&job, &self.name, outcome)).await
    }

    /// Runs a handler for as long as the attempt may take. What it would give after that is dropped, and so is itself.
    async fn attempt(self: &Arc<Self>, job: Arc<Job>) -> Result<Value, Failed> {
        let limit = Duration::from_millis(job.number("timeout_ms").min(365 * 86_400_000));
        let say = Some((self.clone(), job.clone()));
        let alive = Arc::new(Alive { say, said: Notify::new(), times: AtomicU32::new(0) });
        let (work, beats) = (job.clone(), alive.clone());
        let mut work = tokio::spawn(async move { handlers::run(&work, &beats).await });
        let mut deadline = Instant::now() + limit;
        loop {
            tokio::select! {
                outcome = &mut work => {
                    return outcome.unwrap_or_else(|panic| Err(Failed::new("Panic", panic.to_string(), true)));
                }
                () = alive.said.notified() => deadline = Instant::now() + limit,
                () = tokio::time::sleep_until(deadline) => {
                    work.abort();
                    return Err(Failed::new("worker.timeout", format!("expected an end within {limit:?}"), true));
                }
            }
        }
    }

    /// Lets nobody else have a job that is in hand. It ends with the attempt's time, so none is held for ever.
    async fn keep(&self, key: &str, every: Duration) {
        let mut ticks = interval_at(Instant::now() + every, every);
        loop {
            ticks.tick().await;
            let deliveries = self.running().get(key).cloned().unwrap_or_default();
            for each in deliveries {
                let _ = each.ack_with(AckKind::Progress).await; // if it is lost, the job comes again
            }
        }
    }

    fn begins(&self, key: String, delivery: Arc<Delivery>) -> bool {
        let mut running = self.running();
        let deliveries = running.entry(key).or_default();
        deliveries.push(delivery);
        deliveries.len() == 1
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Arc<Delivery>>>> {
        self.running.lock().expect("nobody panics with it")
    }

    /// Publishes until the broker has confirmed; false if the worker was closed before.
    async fn confirmed(&self, message: &Message) -> bool {
        let mut pause = Duration::from_millis(100);
        while !self.closed.is_cancelled() {
            match self.publish(message).await {
                Ok(()) => return true,
                Err(error) => eprintln!("no confirm from {}: {error}; sending again", message.address),
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
        false
    }

    async fn publish(&self, message: &Message) -> Anything<()> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", message.id.as_str());
        headers.insert("content-type", "application/cloudevents+json");
        let sent = self.stream.publish_with_headers(message.address.clone(), headers, message.body.clone().into());
        timeout(CONFIRM, async { sent.await?.await }).await??;
        Ok(())
    }
}

#[cfg(test)]
impl Alive {
    pub fn counting() -> Self {
        Self { say: None, said: Notify::new(), times: AtomicU32::new(0) }
    }

    pub fn count(&self) -> u32 {
        self.times.load(Ordering::Relaxed)
    }
}
