//! `enqueue`: one task from the command line.

use super::args::EnqueueArgs;
use super::site::Site;
use super::{Verdict, enqueue_from, print, show, tell};
use crate::error::{Error, Result};
use crate::store::Enqueued;
use crate::task::{Codec, NewTask, decode, parse_span};
use serde::de::IgnoredAny;
use std::io::Read;
use std::path::Path;

pub(super) fn enqueue(site: &Site, args: &EnqueueArgs) -> Result<Verdict> {
    if let Some(from) = &args.many.from {
        return enqueue_from::enqueue(site, from, args.many.dry_run);
    }
    let task = read(site, args)?;
    let registry = site.registry()?;
    let mut store = site.existing_store()?;
    let [enqueued] = store.enqueue(std::slice::from_ref(&task))?[..] else {
        return Err(Error::failed("the database did not answer with an id"));
    };
    let plan = store.plan()?;
    store.ring(&[plan.partition_of(enqueued.id())], plan.current().partitions);
    print(&format!("{}\n", enqueued.id()))?;
    if registry.get(&task.job).is_none() {
        tell(&format!("note: no job `{}` is known here; the task is parked until a worker knows it\n", task.job));
    }
    if let (Enqueued::Exists(id), Some(key)) = (enqueued, &task.unique_key) {
        tell(&format!("note: task {id} has the key `{key}` and is not settled yet; nothing was added\n"));
    }
    Ok(Verdict::Well)
}

fn read(site: &Site, args: &EnqueueArgs) -> Result<NewTask> {
    let codec = codec_of(&args.codec)?;
    let param = param(args.param.as_deref(), args.param_file.as_deref())?;
    check_param(codec, &param)?;
    let run_at_ms = match (&args.at, &args.delay) {
        (Some(at), _) => Some(show::read_time(at, site.config.timezone).map_err(Error::usage)?),
        (None, Some(delay)) => {
            let delay_ms = parse_span(delay).map_err(Error::usage)?;
            Some(site.clock.now_ms().saturating_add(i64::try_from(delay_ms).unwrap_or(i64::MAX)))
        }
        (None, None) => None,
    };
    Ok(NewTask {
        job: args.job.clone().unwrap_or_default(),
        param,
        codec,
        priority: args.priority,
        run_at_ms,
        unique_key: args.unique.clone(),
        max_attempts: args.max_attempts,
    })
}

pub(super) fn codec_of(word: &str) -> Result<Codec> {
    Codec::from_word(word)
        .ok_or_else(|| Error::usage(format!("there is no codec `{word}`")).hint("it is json, form, bincode or text"))
}

/// Refuses a param that is to be JSON and is not: a worker would only park it.
pub(super) fn check_param(codec: Codec, param: &[u8]) -> Result<()> {
    if codec == Codec::Json && !param.is_empty() {
        serde_json::from_slice::<&serde_json::value::RawValue>(param).map_err(|e| {
            Error::usage(format!("the param is not JSON: {e}"))
                .hint("text in JSON stands in double quotes; for plain text use --codec text")
        })?;
    }
    if codec == Codec::Form {
        decode::<IgnoredAny>(codec, param).map_err(|reason| {
            Error::usage(reason).hint("a form is what PHP's http_build_query writes: uid=4&uids[]=6&uids[]=34")
        })?;
    }
    Ok(())
}

/// The param by its argument, `-` for standard input, or by its file.
pub(super) fn param(text: Option<&str>, file: Option<&Path>) -> Result<Vec<u8>> {
    match (text, file) {
        (_, Some(file)) => std::fs::read(file).map_err(|e| Error::usage(format!("{}: {e}", file.display()))),
        (Some("-"), None) => {
            let mut param = Vec::new();
            std::io::stdin().read_to_end(&mut param)?;
            Ok(param)
        }
        (Some(text), None) => Ok(text.as_bytes().to_vec()),
        (None, None) => Ok(Vec::new()),
    }
}
