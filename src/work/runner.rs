//! The runner: the thread on which jobs run, one task after the other.
//!
//! Rust jobs are polled on a runtime of this one thread; executables are waited for. Whatever a job does (panic, hang,
//! fail) ends as an [`Ending`]; only the process itself dying is beyond it.

use super::desk::{Desk, Finished};
use super::exec;
use super::exec::Streams;
use super::job::{Context, Handler, JobFuture, Registry};
use crate::clock::{Clock, world};
use crate::error::{Error, Result};
use crate::log::Journal;
use crate::store::{Body, Note};
use crate::task::{Cause, Ending, Policy, Task, panic_text};
use rustix::event::{Timespec, poll};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Between two looks whether the thread has ended.
const END_LOOK: Duration = Duration::from_millis(2);

/// What the runner needs besides its desk.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    pub(super) registry: Arc<Registry>,
    pub(super) journal: Arc<Journal>,
    pub(super) clock: Clock,
    pub(super) worker: u32,
    pub(super) body: Body,
    /// Who gets what executables write, instead of the journal.
    pub(super) live: Option<fn(&exec::OutputLine)>,
}

/// The engine's end of a running runner.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) desk: Arc<Desk>,
    batches: UnboundedSender<Vec<Task>>,
    thread: JoinHandle<()>,
}

impl Runner {
    /// Starts the thread. Errors: no thread or no descriptor to be had.
    pub(super) fn start(tools: Tools) -> Result<Runner> {
        let desk = Arc::new(Desk::new()?);
        let (batches, orders) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let at_desk = Arc::clone(&desk);
        let seat = world::seat("runner");
        let body = move || {
            let _here = seat.enter();
            runtime.block_on(serve(&at_desk, orders, &tools));
        };
        let thread = std::thread::Builder::new().name("runner".to_string()).spawn(body)?;
        Ok(Runner { desk, batches, thread })
    }

    /// Lays a batch down to be run in order; what runs is noted in `note`.
    pub(super) fn run(&self, tasks: Vec<Task>, note: Option<Arc<dyn Note>>) -> Result<()> {
        self.desk.begin_batch(note);
        self.batches.send(tasks).map_err(|_| Error::failed("the runner's thread has ended"))?;
        world::rouse("runner");
        Ok(())
    }

    /// Ends the thread, and the streams that it has, and waits for that: `look` is called again and again meanwhile, and says
    /// whether to break off.
    pub(super) fn end(self, mut look: impl FnMut() -> bool) {
        let Runner { desk, batches, thread } = self;
        desk.begin_batch(None);
        drop(batches);
        if world::is_there() {
            // Processes of a world start no programs.
            return;
        }
        while !thread.is_finished() {
            if look() {
                desk.break_off();
            }
            // An interruption only makes the pause shorter.
            let _ = poll(&mut [], Timespec::try_from(END_LOOK).ok().as_ref());
        }
        // What a job has panicked with was told when it did.
        let _ = thread.join();
    }

    /// Whether the thread is still there.
    pub(super) fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }
}

async fn serve(desk: &Desk, mut orders: UnboundedReceiver<Vec<Task>>, tools: &Tools) {
    let mut streams = Streams::default();
    loop {
        world::rest();
        let Some(tasks) = orders.recv().await else { return streams.end(desk, tools) };
        let mut tasks = VecDeque::from(tasks);
        while let Some(next) = tasks.front() {
            if Streams::take(tools, &next.job) {
                match streams.run(desk, tools, &mut tasks) {
                    true => continue,
                    false => break,
                }
            }
            let Some(task) = tasks.pop_front() else { break };
            let started_at_ms = tools.clock.now_ms();
            if !desk.may_begin(&task, started_at_ms) {
                break;
            }
            let ending = run_one(desk, &task, tools).await;
            world::pass("ran");
            desk.put(Finished { task, ending, started_at_ms, finished_at_ms: tools.clock.now_ms() });
            world::pass("put");
        }
        desk.end_batch();
    }
}

async fn run_one(desk: &Desk, task: &Task, tools: &Tools) -> Ending {
    let Some(registered) = tools.registry.get(&task.job) else { return Ending::UnknownJob };
    let cx = context(task, &registered.policy, tools.worker);
    match &registered.handler {
        Handler::Exec(command) => {
            let mut output = |line: exec::OutputLine| log_output(tools, Some(task.id), &task.job, &line);
            match tools.body.open() {
                Ok(body) => exec::run(command, &cx, &task.param, &registered.policy, desk.abandon(), body, &mut output),
                // The run folder is the same for all tasks: whatever is wrong with it is not this one's fault.
                Err(e) => Ending::NotNow(format!("the file that its processes share cannot be made: {e}")),
            }
        }
        Handler::Rust(start) => match catch_unwind(AssertUnwindSafe(|| start(task.codec, &task.param, cx))) {
            Ok(Ok(future)) => run_future(desk, future, registered.policy.timeout_ms).await,
            Ok(Err(reason)) => Ending::Undecodable(reason),
            Err(panic) => Ending::Failed(Cause::Panic(panic_text(&*panic))),
        },
    }
}

/// What the handler of a task may know about it.
pub(super) fn context(task: &Task, policy: &Policy, worker: u32) -> Context {
    Context {
        task: task.id,
        job: task.job.clone(),
        attempt: task.attempts_charged.saturating_add(1),
        max_attempts: task.max_attempts.unwrap_or(policy.max_attempts),
        priority: task.priority,
        worker,
    }
}

/// Polls a job to its end, its timeout, or until it is broken off; then its future is dropped.
async fn run_future(desk: &Desk, mut future: JobFuture, timeout_ms: Option<u64>) -> Ending {
    let mut broken_off = pin!(desk.broken_off());
    let mut timed_out = pin!(async {
        match timeout_ms {
            Some(after_ms) => tokio::time::sleep(Duration::from_millis(after_ms)).await,
            None => std::future::pending().await,
        }
    });
    let ending = poll_fn(|cx| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Ready(Ok(outcome))) => return Poll::Ready(Ending::Answered(outcome)),
            Ok(Poll::Ready(Err(e))) => return Poll::Ready(Ending::Failed(Cause::Error(e.message().to_string()))),
            Err(panic) => return Poll::Ready(Ending::Failed(Cause::Panic(panic_text(&*panic)))),
            Ok(Poll::Pending) => {}
        }
        if broken_off.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ending::Interrupted);
        }
        match timed_out.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ending::Failed(Cause::Timeout { after_ms: timeout_ms.unwrap_or(0) })),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    // What a future does when it is dropped is the job's as well.
    match catch_unwind(AssertUnwindSafe(|| drop(future))) {
        Ok(()) => ending,
        Err(panic) => Ending::Failed(Cause::Panic(panic_text(&*panic))),
    }
}

/// Writes a line that an executable wrote, about a task if it is known which.
pub(super) fn log_output(tools: &Tools, task: Option<i64>, job: &str, line: &exec::OutputLine) {
    if let Some(live) = tools.live {
        return live(line);
    }
    let mut lines = tools.journal.lines();
    let level = if line.stderr { log::Level::Warn } else { log::Level::Info };
    let from: &str = if line.stderr { "stderr" } else { "stdout" };
    let tags: [(&str, &dyn std::fmt::Display); 3] = [("task", &task.unwrap_or(0)), ("job", &job), ("from", &from)];
    let tags = if line.note { &tags[..2] } else { &tags[..] };
    let tags = if task.is_some() { tags } else { &tags[1..] };
    lines.add(tools.clock.now_ms(), level, tags, format_args!("{}", line.text));
    tools.journal.append(&lines);
}
