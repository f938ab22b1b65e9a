//! Serves the handlers as the environment says.

mod contract;
mod handlers;
mod worker;

use std::env;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

fn setting(name: &str, otherwise: &str) -> String {
    env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| otherwise.into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = setting("STEPBUS_WORKER", &format!("rust-{}", std::process::id()));
    let url = setting("STEPBUS_BUS", "nats://127.0.0.1:4222");
    let client = async_nats::ConnectOptions::new().name(&name).retry_on_initial_connect().connect(url.as_str()).await?;
    let worker = Arc::new(worker::Worker {
        stream: async_nats::jetstream::new(client.clone()),
        prefix: setting("STEPBUS_PREFIX", "stepbus"),
        name,
        concurrency: setting("STEPBUS_CONCURRENCY", "4").parse()?,
        drain: Duration::from_secs(setting("STEPBUS_DRAIN", "30").parse()?),
        announced: setting("STEPBUS_ANNOUNCE", "1") == "1",
        stopping: CancellationToken::new(),
        closed: CancellationToken::new(),
        running: Mutex::default(),
    });
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stopping = worker.stopping.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminated.recv() => {}, _ = interrupted.recv() => {} }
        stopping.cancel();
    });
    worker.run().await;
    client.flush().await?;
    Ok(())
}
