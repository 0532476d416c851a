//! Jobs to try and to measure an installation with: `noop`, `sleep`, `fail`, `echo`.

use rowmill::{Context, Job, JobError, Outcome};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::time::Duration;

/// Does nothing, whatever its param.
#[derive(Debug, Deserialize)]
pub(crate) struct Noop(#[allow(dead_code, reason = "accepted, not looked at")] IgnoredAny);

impl Job for Noop {
    const NAME: &'static str = "noop";

    async fn run(self, _: &Context) -> Result<Outcome, JobError> {
        Ok(Outcome::done())
    }
}

/// Sleeps for as many milliseconds as its param says.
#[derive(Debug, Deserialize)]
pub(crate) struct Sleep(u64);

impl Job for Sleep {
    const NAME: &'static str = "sleep";

    async fn run(self, _: &Context) -> Result<Outcome, JobError> {
        tokio::time::sleep(Duration::from_millis(self.0)).await;
        Ok(Outcome::done())
    }
}

/// Fails with its param as the message.
#[derive(Debug, Deserialize)]
pub(crate) struct Fail(String);

impl Job for Fail {
    const NAME: &'static str = "fail";

    async fn run(self, _: &Context) -> Result<Outcome, JobError> {
        Err(JobError::new(self.0))
    }
}

/// Answers with its param as the result.
#[derive(Debug, Deserialize)]
pub(crate) struct Echo(serde_json::Value);

impl Job for Echo {
    const NAME: &'static str = "echo";

    async fn run(self, _: &Context) -> Result<Outcome, JobError> {
        Ok(Outcome::with_result(self.0.to_string()))
    }
}
