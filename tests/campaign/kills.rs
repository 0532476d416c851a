//! The campaign: rows come in, a tick is called each second as cron would, and somebody is killed all the time.

use super::feed::Feed;
use super::history::{History, log};
use super::strike::Striker;
use super::table::table;
use super::verdict::Verdict;
use crate::installation::{BOUND, Installation, Running, pause, within};
use crate::trial::installed;
use rowmill::clock::Watch;
use std::process::Stdio;
use std::time::Duration;

const CONFIG: &str = "
workers = 6
stall = \"2s\"
linger = \"5m\"

[[job]]
name = \"walk\"
command = [\"./walk\"]
max_attempts = 1000
backoff = { first = \"1ms\", factor = 1.0, max = \"1ms\" }

[[job]]
name = \"family\"
command = [\"./family\"]
max_attempts = 1000
backoff = { first = \"1ms\", factor = 1.0, max = \"1ms\" }

[[job]]
name = \"stray\"
command = [\"./stray\"]
max_attempts = 1000
backoff = { first = \"1ms\", factor = 1.0, max = \"1ms\" }

[[job]]
name = \"pay\"
command = [\"./pay\"]
delivery = \"at_most_once\"
";

/// How a script says what it does: in the words of a Rust job's lines.
const SAY: &str = "self=$$\nboss=$PPID\n\
    say() { echo \"$1 $ROWMILL_TASK_ID $ROWMILL_ATTEMPT $self $boss $(date +%s%3N)\" >> runs; }\n\
    say begin\n";

/// Between two ticks.
const TICK: Duration = Duration::from_secs(1);

/// While fewer rows than this are ready, more come in: so many that nobody rests, and so few that most do, in turn.
const BACKLOG: [i64; 2] = [150, 4];

/// After so many kills the backlog changes; one block of five is calm, so that most deaths in it are seen to alone.
const BLOCK: usize = 20;

fn scene() -> Installation {
    let here = installed(CONFIG);
    let walk = "for n in 1 2 3; do sleep 0.0$((ROWMILL_TASK_ID % 5 + 1)); say beat; done\n";
    let child = "(for n in 1 2 3 4; do sleep 0.02; say beat; done) &\nwait\n";
    // One that leaves the session and the process group, and says for its script that it still runs.
    let stray = "export self boss\nsetsid sh -c 'n=25; while [ $n -gt 0 ]; do n=$((n - 1)); sleep 0.02\n\
        echo \"beat $ROWMILL_TASK_ID $ROWMILL_ATTEMPT $self $boss $(date +%s%3N)\" >> runs; done' &\nwait\n";
    for (name, body) in [("walk", walk), ("family", child), ("stray", stray), ("pay", walk)] {
        here.script(&format!("../{name}"), &format!("{SAY}{body}say end\n"));
    }
    here
}

/// Ticks, each second, and never more than a few at a time; for a part of the time also `run`, whose workers are theirs too.
#[derive(Default)]
pub(super) struct Cron {
    ticks: Vec<Running>,
    last: Option<Watch>,
    run: Option<Running>,
}

impl Cron {
    fn call(&mut self, here: &Installation) {
        self.ticks.retain_mut(|tick| tick.0.try_wait().unwrap().is_none());
        if self.ticks.len() < 4 && self.last.is_none_or(|last| last.left_of(TICK).is_zero()) {
            self.start_one(here);
            self.last = Some(Watch::start());
        }
    }

    /// One more, besides those of each second.
    pub(super) fn start_one(&mut self, here: &Installation) {
        let mut command = here.command(&["tick"]);
        self.ticks.push(Running::start(command.stdout(Stdio::null()).stderr(Stdio::null())));
    }

    /// Starts `run` where it is not; whether it was not.
    pub(super) fn resides(&mut self, here: &Installation) -> bool {
        let is_new = self.resident().is_none();
        if is_new {
            let mut command = here.command(&["run"]);
            self.run = Some(Running::start(command.stdout(Stdio::null()).stderr(Stdio::null())));
        }
        is_new
    }

    /// The process of `run`, if it is there.
    pub(super) fn resident(&mut self) -> Option<i32> {
        self.run.as_mut().and_then(|run| run.0.try_wait().unwrap().is_none().then(|| run.pid()))
    }

    /// The processes of those that have not been seen to end.
    pub(super) fn pids(&self) -> Vec<i32> {
        self.ticks.iter().map(Running::pid).collect()
    }
}

/// Kills that many processes; answers what was found then.
fn campaign(kills: usize, seed: u64) -> (Striker, History, Verdict, Installation) {
    let here = scene();
    let (mut striker, mut feed) = (Striker::new(seed), Feed::new());
    let mut cron = Cron::default();
    let conn = here.sql();
    let number = |sql: &str| conn.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap();
    let mut idle = Watch::start();
    while striker.kills() < kills {
        let before = striker.kills();
        cron.call(&here);
        feed.reap();
        striker.let_go(false);
        let backlog = BACKLOG[before / BLOCK % 2];
        if feed.pids().len() < 3 && number("SELECT count(*) FROM rowmill_ready") < backlog {
            feed.start_one(&here, &mut striker.dice);
        }
        let calm = before / BLOCK % 5 == 3;
        pause(Duration::from_millis(u64::from(striker.dice.below(if calm { 900 } else { 160 }))));
        striker.strike(&here, &mut feed, &mut cron);
        if striker.kills() > before {
            idle = Watch::start();
        }
        assert!(!idle.left_of(BOUND).is_zero(), "nobody is there to be killed");
    }
    striker.let_go(true);
    let open = "SELECT count(*) FROM task WHERE status NOT IN ('done', 'dead', 'cancelled')";
    within(BOUND * 5, "everything to be settled", || {
        cron.call(&here);
        feed.reap();
        pause(Duration::from_millis(200));
        (feed.pids().is_empty() && number(open) == 0).then_some(())
    });
    drop(conn);
    let history = History::read(&here, feed.acked(&here), striker.deaths.clone());
    let verdict = Verdict::of(&history);
    (striker, history, verdict, here)
}

/// What is known about the tasks of the first faults.
fn told(here: &Installation, verdict: &Verdict, history: &History) -> String {
    let (log, runs) = (log(here), here.read("runs"));
    let mut text = String::new();
    for (task, fault) in verdict.faults.iter().take(6) {
        text.push_str(&format!("\n{task:?}: {fault}\n"));
        let Some(id) = task else { continue };
        text.push_str(&format!("{:?}\n", history.tasks.get(id)));
        let of_runs = runs.lines().filter(|line| line.split(' ').nth(1) == Some(&id.to_string()));
        let of_log = log.lines().filter(|line| line.contains(&format!(" task={id} ")));
        let workers: Vec<i32> = history.lines.iter().filter(|line| line.task == *id).map(|line| line.worker).collect();
        let deaths = history.deaths.iter().filter(|death| workers.contains(&death.pid));
        let deaths = deaths.map(|death| format!("{death:?}"));
        for line in of_runs.chain(of_log).map(str::to_string).chain(deaths) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}

fn number_of(name: &str, otherwise: u64) -> u64 {
    std::env::var_os(name).map_or(otherwise, |text| text.to_string_lossy().parse().expect("a number"))
}

#[test]
#[allow(clippy::print_stdout, reason = "the table, shown on wish")]
fn nothing_is_lost_or_done_twice_however_many_are_killed() {
    let (kills, seed) = (number_of("ROWMILL_KILLS", 80), number_of("ROWMILL_SEED", 20_261_128));
    let watch = Watch::start();
    let (striker, history, verdict, here) = campaign(usize::try_from(kills).unwrap(), seed);
    println!("seed {seed}, {} s\n{}", watch.elapsed().as_secs(), table(&striker, &history, &verdict));
    assert!(verdict.faults.is_empty(), "{} faults{}", verdict.faults.len(), told(&here, &verdict, &history));
    here.keeps_the_laws();
    assert!(verdict.runs > 0 && !verdict.again.is_empty(), "too little happened to prove anything");
}
