//! The warehouse and the post room of examples/order_fulfilment, and the probe that the conformance kit asks for. Every
//! effect's id is made of the idempotency key of its step: what was done once is found again, not done twice.

use crate::contract::{Failed, Job};
use crate::worker::Alive;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub const NAMES: [&str; 4] =
    ["conform.probe", "orders.create_shipment", "orders.reserve_inventory", "orders.send_confirmation"];
const BUSY_CARRIER: &str = "hermod";
static EFFECTS: LazyLock<Mutex<HashMap<String, u32>>> = LazyLock::new(Mutex::default);

/// Does the work of a step.
pub async fn run(job: &Job, alive: &Alive) -> Result<Value, Failed> {
    match job.text("handler") {
        "orders.reserve_inventory" => Ok(reserve_inventory(job)),
        "orders.create_shipment" => create_shipment(job),
        "orders.send_confirmation" => {
            Ok(json!({"message": id_of("msg", job), "sent_to": job.context()["customer"]["email"]}))
        }
        "conform.probe" => probe(job, alive).await,
        other => Err(Failed::new("worker.handler_unknown", format!("expected a worker of {other}"), true)),
    }
}

fn reserve_inventory(job: &Job) -> Value {
    let items = job.context()["items"].as_array();
    let units: u64 = items.into_iter().flatten().filter_map(|item| item["quantity"].as_u64()).sum();
    json!({"reservation": id_of("res", job), "units": units})
}

/// One carrier is always busy when first asked, and says when to ask again.
fn create_shipment(job: &Job) -> Result<Value, Failed> {
    let delivery = &job.context()["delivery"];
    let carrier = delivery["carrier"].as_str().unwrap_or_default();
    if carrier == BUSY_CARRIER && job.number("attempt") == 1 {
        let failed = Failed::new("carrier.busy", format!("{carrier} takes no booking now"), true);
        return Err(Failed { retry_after: Some(0.3), ..failed });
    }
    let (country, order) = (delivery["country"].as_str(), job.context()["order_id"].as_str());
    let label = format!("{}-{}", country.unwrap_or_default(), order.unwrap_or_default());
    Ok(json!({"shipment": id_of("shp", job), "carrier": carrier, "label": label}))
}

/// Does what the context asks for.
async fn probe(job: &Job, alive: &Alive) -> Result<Value, Failed> {
    let wish = job.context();
    let text = |name: &str| wish[name].as_str().unwrap_or_default();
    match text("do") {
        "echo" => Ok(json!({"echo": wish["value"]})),
        "sleep" => {
            work(job, alive).await;
            Ok(json!({"slept": wish["seconds"]}))
        }
        "fail" => Err(Failed {
            code: text("code").into(),
            message: text("message").into(),
            retryable: wish["retryable"] == true,
            retry_after: wish["retry_after"].as_f64(),
        }),
        "big" => Ok(json!({"blob": "x".repeat(wish["size"].as_u64().unwrap_or_default() as usize)})),
        "effect" => Ok(json!({"effects": once(job.text("idempotency_key"))})),
        _ => Err(Failed::new("probe.unknown", "expected to do echo, sleep, fail, big or effect", false)),
    }
}

/// Takes its time, and says meanwhile that it is alive, unless it is to be silent.
async fn work(job: &Job, alive: &Alive) {
    let wish = job.context();
    let seconds = wish["seconds"].as_f64().unwrap_or_default().clamp(0.0, 86_400.0);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let pause = Duration::from_millis((job.number("timeout_ms") / 3).clamp(1, 1000));
    while Instant::now() < end {
        let left = end - Instant::now();
        sleep(left.min(pause)).await;
        if left > pause && wish["silent"] != true {
            alive.beat().await;
        }
    }
}

/// Has the effect of a key if nobody had it yet; gives how often it was had. A real one is kept in a database.
fn once(key: &str) -> u32 {
    *EFFECTS.lock().expect("no handler panics with it").entry(key.into()).or_insert(1)
}

fn id_of(kind: &str, job: &Job) -> String {
    let sum = Sha256::digest(job.text("idempotency_key"));
    let hex: String = sum.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{kind}-{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::tests::job;

    fn probed(context: Value) -> (Value, u32) {
        let (mut job, alive) = (job(context), Alive::counting());
        job.set_handler("conform.probe");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let outcome = runtime.block_on(run(&job, &alive));
        (outcome.unwrap_or_else(|failed| json!({"failed": failed.code, "after": failed.retry_after})), alive.count())
    }

    #[test]
    fn the_probe_does_as_it_is_told() {
        assert_eq!(probed(json!({"do": "echo", "value": [null]})).0, json!({"echo": [null]}));
        let fail = json!({"do": "fail", "code": "a.b", "message": "m", "retryable": true, "retry_after": 2.5});
        assert_eq!(probed(fail).0, json!({"failed": "a.b", "after": 2.5}));
        assert_eq!(probed(json!({})).0["failed"], "probe.unknown");
        for _ in 0..2 {
            assert_eq!(probed(json!({"do": "effect"})).0, json!({"effects": 1}));
        }
    }

    #[test]
    fn work_says_that_it_is_alive_unless_it_is_to_be_silent() {
        let (result, beats) = probed(json!({"do": "sleep", "seconds": 0.3}));
        assert_eq!(result, json!({"slept": 0.3}));
        assert!(beats >= 3, "{beats} heartbeats");
        assert_eq!(probed(json!({"do": "sleep", "seconds": 0.2, "silent": true})).1, 0);
    }
}
