//! What a worker reads and writes: a job, its answer, and what is said of a message that is no job.

use base64::Engine;
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

const MAX_MESSAGE_BYTES: usize = 262_144;
const VERSION: u32 = 1;
const KEPT_BYTES: usize = 700 * 1024; // of a message that is no job; four thirds of it as base64

/// One attempt of one step: its envelope, and its data as step.requested has it. Unknown fields are let be.
pub struct Job {
    envelope: Value,
}

impl Job {
    pub fn text(&self, name: &str) -> &str {
        self.envelope["data"][name].as_str().unwrap_or_default()
    }

    pub fn number(&self, name: &str) -> u64 {
        self.envelope["data"][name].as_u64().unwrap_or_default()
    }

    pub fn context(&self) -> &Value {
        &self.envelope["data"]["inputs"]["context"]
    }

    pub fn key(&self) -> String {
        format!("{}|{}|{}", self.text("task_id"), self.text("step"), self.number("attempt"))
    }
}

/// A message that is no job. It will be none however often it is delivered.
#[derive(Debug)]
pub struct Poison {
    pub code: &'static str,
    pub pointer: String,
    pub reason: String,
}

/// How a handler says that it failed. `retry_after` is in seconds.
#[derive(Debug)]
pub struct Failed {
    pub code: String,
    pub message: String,
    pub retryable: bool,
    pub retry_after: Option<f64>,
}

impl Failed {
    pub fn new(code: &str, message: impl Into<String>, retryable: bool) -> Self {
        Self { code: code.into(), message: message.into(), retryable, retry_after: None }
    }
}

/// What is sent, under its own id however often it is sent.
pub struct Message {
    pub address: String,
    pub id: String,
    pub body: Vec<u8>,
}

/// Gives the job that a message asks for; its token goes to addresses in `results` only.
pub fn read_job(body: &[u8], results: &str) -> Result<Job, Poison> {
    let poison = |code, pointer: &str, reason: &str| Poison { code, pointer: pointer.into(), reason: reason.into() };
    let event: Value =
        serde_json::from_slice(body).map_err(|error| poison("json.malformed", "", &error.to_string()))?;
    if event["specversion"] != "1.0" || !event["id"].is_string() {
        return Err(poison("envelope.invalid", "/specversion", "expected a CloudEvent of specversion 1.0 with an id"));
    }
    if event["type"] != "step.requested" {
        return Err(poison("message.unknown_type", "/type", "expected step.requested"));
    }
    let data = &event["data"];
    for name in ["task_id", "step", "handler", "idempotency_key", "replyto", "token"] {
        if data[name].as_str().is_none_or(str::is_empty) {
            return Err(poison("message.invalid", &format!("/data/{name}"), "expected a text"));
        }
    }
    for name in ["attempt", "timeout_ms"] {
        if data[name].as_u64().is_none_or(|number| number == 0) {
            return Err(poison("message.invalid", &format!("/data/{name}"), "expected a whole number of at least 1"));
        }
    }
    for name in ["context", "results"] {
        if !data["inputs"][name].is_object() {
            return Err(poison("message.invalid", &format!("/data/inputs/{name}"), "expected an object"));
        }
    }
    if !data["replyto"].as_str().unwrap_or_default().starts_with(results) {
        return Err(poison("message.replyto", "/data/replyto", &format!("expected an address in {results}")));
    }
    Ok(Job { envelope: event })
}

/// Gives the answer that ends a job. A result that no message can carry is a failure for good.
pub fn ending(job: &Job, worker: &str, outcome: Result<Value, Failed>) -> Message {
    let failed = match outcome {
        Ok(result) => {
            let message = answer(job, worker, "step.completed", "result", result);
            if message.body.len() <= MAX_MESSAGE_BYTES {
                return message;
            }
            let found = format!("expected at most {MAX_MESSAGE_BYTES} bytes, found {}", message.body.len());
            Failed::new("worker.result_too_large", found, false)
        }
        Err(failed) => failed,
    };
    let message: String = failed.message.chars().take(4096).collect();
    let mut error = json!({"code": failed.code, "message": message, "retryable": failed.retryable});
    if let Some(seconds) = failed.retry_after {
        error["retry_after"] = json!(seconds);
    }
    answer(job, worker, "step.failed", "error", error)
}

pub fn heartbeat(job: &Job, worker: &str) -> Message {
    answer(job, worker, "step.heartbeat", "progress", Value::Null)
}

fn answer(job: &Job, worker: &str, kind: &str, name: &str, said: Value) -> Message {
    let mut attributes = Map::new();
    attributes.insert("partitionkey".into(), job.text("task_id").into());
    attributes.insert("causationid".into(), job.envelope["id"].clone());
    for carried in ["correlationid", "tenant", "traceparent"] {
        if let Some(value) = job.envelope.get(carried) {
            attributes.insert(carried.into(), value.clone());
        }
    }
    let mut data = json!({"worker": worker});
    for echoed in ["task_id", "step", "attempt", "token"] {
        data[echoed] = job.envelope["data"][echoed].clone();
    }
    data[name] = said;
    message(job.text("replyto").into(), kind, data, attributes)
}

/// Asks the coordinators to keep a message that nobody can act on, for an operator to see.
pub fn quarantined(prefix: &str, queue: &str, body: &[u8], poison: &Poison) -> Message {
    let kept = base64::engine::general_purpose::STANDARD.encode(&body[..body.len().min(KEPT_BYTES)]);
    let data = json!({
        "message_id": Uuid::new_v4().to_string(), "channel": format!("jobs.{queue}"), "code": poison.code,
        "pointer": poison.pointer, "reason": poison.reason, "body": kept,
    });
    message(format!("{prefix}.results.0"), "message.quarantined", data, Map::new())
}

/// Says what a worker serves, so that mistakes are found before a task runs into them.
pub fn announcement(prefix: &str, worker: &str, handlers: &[&str]) -> Message {
    let served: Vec<Value> = handlers.iter().map(|name| json!({"handler": name, "contract": VERSION})).collect();
    let data = json!({"worker": worker, "handlers": served});
    message(format!("{prefix}.tasks"), "worker.announced", data, Map::new())
}

fn message(address: String, kind: &str, data: Value, attributes: Map<String, Value>) -> Message {
    let id = Uuid::new_v4().to_string();
    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let mut event = json!({
        "specversion": "1.0", "id": id, "source": "/stepbus/worker", "type": kind, "time": now,
        "datacontenttype": "application/json", "data": data,
    });
    for (name, value) in attributes {
        event[name] = value;
    }
    Message { address, id, body: event.to_string().into_bytes() }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const RELEASED: &str =
        include_str!("../../../contracts/stepbus/contracts/golden/messages/step.requested.v1.json");

    pub fn job(context: Value) -> Job {
        let mut event: Value = serde_json::from_str(RELEASED).unwrap();
        event["later"] = json!(1);
        event["data"]["timeout_ms"] = json!(100);
        event["data"]["inputs"] = json!({"context": context, "results": {}});
        read_job(event.to_string().as_bytes(), "stepbus.results.").unwrap()
    }

    impl Job {
        pub fn set_handler(&mut self, name: &str) {
            self.envelope["data"]["handler"] = name.into();
        }
    }

    #[test]
    fn an_answer_echoes_what_its_job_said() {
        let message = ending(&job(json!({})), "w", Ok(json!([1, "é", null])));
        let asked: Value = serde_json::from_str(RELEASED).unwrap();
        let said: Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(message.address, "stepbus.results.3");
        assert_eq!((&said["causationid"], &said["tenant"]), (&asked["id"], &asked["tenant"]));
        assert_eq!(said["data"]["token"], asked["data"]["token"]);
        assert_eq!(said["data"]["result"], json!([1, "é", null]));
    }

    #[test]
    fn what_is_no_job_says_why() {
        for (body, code, pointer) in [
            ("{".to_string(), "json.malformed", ""),
            ("[]".to_string(), "envelope.invalid", "/specversion"),
            (RELEASED.replace("step.requested\"", "task.failed\""), "message.unknown_type", "/type"),
            (RELEASED.replace("\"attempt\":1", "\"attempt\":\"1\""), "message.invalid", "/data/attempt"),
            (RELEASED.replace("\"context\"", "\"x\""), "message.invalid", "/data/inputs/context"),
            (RELEASED.replace("stepbus.results.3", "stepbus.events"), "message.replyto", "/data/replyto"),
        ] {
            let poison = read_job(body.as_bytes(), "stepbus.results.").err().expect(&body);
            assert_eq!((poison.code, poison.pointer.as_str()), (code, pointer));
            let entry: Value = serde_json::from_slice(&quarantined("p", "q", body.as_bytes(), &poison).body).unwrap();
            assert_eq!(entry["data"]["channel"], "jobs.q");
        }
        assert_eq!(read_job(b"\xff", "").err().unwrap().code, "json.malformed");
    }

    #[test]
    fn a_result_that_no_message_can_carry_is_a_failure_for_good() {
        let message = ending(&job(json!({})), "w", Ok("x".repeat(MAX_MESSAGE_BYTES).into()));
        let said: Value = serde_json::from_slice(&message.body).unwrap();
        let error = &said["data"]["error"];
        assert_eq!((&error["code"], &error["retryable"]), (&json!("worker.result_too_large"), &json!(false)));
    }

    #[test]
    fn an_announcement_says_what_is_served() {
        let said: Value = serde_json::from_slice(&announcement("p", "w", &["a.b"]).body).unwrap();
        assert_eq!(said["data"], json!({"worker": "w", "handlers": [{"handler": "a.b", "contract": 1}]}));
    }
}
