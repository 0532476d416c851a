//! `schedule`, `schedules`, `next`: what a person does to schedules, and what is to be seen of them.
//!
//! What would be found here: a schedule of the command line that a tick takes away, one of the file that a person removes,
//! a pause that nobody sees, a command that decides and is not asked, times that are another zone's.

use crate::installation::{BOUND, Installation, within};
use serde_json::{Value, json};

const NIGHTLY: &str = "workers = 1\n[[schedule]]\nname = \"nightly\"\ncron = \"0 2 * * *\"\ntimezone = \"Europe/Berlin\"\njob = \"echo\"\n\
    param = { day = \"{date}\" }\ncatch_up = \"window 2h\"\n";

fn schedules(here: &Installation) -> Vec<Value> {
    here.json(&["schedules"]).as_array().unwrap().clone()
}

/// As if the schedule had been due an hour ago and nobody had ticked.
fn make_due(here: &Installation, name: &str, minutes: i64) {
    let back = "UPDATE rowmill_schedule SET next_at = (unixepoch() / 60 - ?2) * 60000, seen_at = 0 WHERE name = ?1";
    assert_eq!(here.sql().execute(back, rusqlite::params![name, minutes]).unwrap(), 1);
}

#[test]
fn a_schedule_of_a_person_lives_in_the_database() {
    let here = Installation::new(NIGHTLY);
    here.run(&["tick"]).well();
    let add = [
        "schedule",
        "add",
        "mine",
        "--every",
        "15m",
        "--job",
        "echo",
        "--param",
        "{\"at\":\"{due}\"}",
        "--overlap",
        "skip",
    ];
    let said = here.run(&add).well();
    assert!(said.starts_with("mine is due for the first time at "), "{said}");
    let again = here.run(&add);
    assert!(again.code == Some(2) && again.err.contains("there is a schedule `mine` already"), "{again:?}");
    let of_file = here.run(&["schedule", "add", "nightly", "--cron", "@daily", "--job", "echo"]);
    assert!(
        of_file.code == Some(2) && of_file.err.contains("hint: the configuration or a pack has one"),
        "{of_file:?}"
    );
    here.run(&["tick"]).well();
    let all = schedules(&here);
    let seen: Vec<_> =
        all.iter().map(|s| (&s["name"], &s["origin"], &s["timing"], &s["overlap"], &s["catch_up"])).collect();
    let text = |words: [&str; 5]| words.map(Value::from);
    let wanted = [
        text(["mine", "person", "every 15m", "skip", "once"]),
        text(["nightly", "file", "0 2 * * *", "allow", "window 2h"]),
    ];
    assert_eq!(seen, wanted.iter().map(|[a, b, c, d, e]| (a, b, c, d, e)).collect::<Vec<_>>());
    assert_eq!(all[0]["due"], "every 15 minutes");
    // The file takes its own away, and no other.
    here.write("rowmill.toml", "workers = 1\n");
    here.run(&["tick"]).well();
    assert_eq!(schedules(&here).len(), 1);
    assert_eq!(here.run(&["schedule", "remove", "mine"]).well(), "mine is removed; its tasks stay\n");
    assert_eq!(here.run(&["schedule", "remove", "mine"]).code, Some(2));
    assert!(here.run(&["schedules"]).well().starts_with("there are no schedules"));
}

#[test]
fn what_is_wrong_with_a_new_schedule_is_said() {
    let here = Installation::new("workers = 1\n");
    for (more, words) in [
        (&["--cron", "61 * * * *"][..], "error: --cron: `61` is not a minute (0 to 59) (at character 1)"),
        (&["--every", "15x"], "error: --every: `x` is not a unit"),
        (&["--at", "2020-01-01 00:00"], "error: the schedule `s` is never due from now on"),
        (&["--cron", "@daily", "--timezone", "Berlin"], "error: `Berlin` is not a time zone"),
        (&["--cron", "@daily", "--catch-up", "often"], "error: --catch-up: `often` is not"),
        (&["--cron", "@daily", "--overlap", "wait"], "error: --overlap: `wait` is not allow, skip or queue"),
        (&["--cron", "@daily", "--param", "{due}"], "error: the param is not JSON"),
        (&["--cron", "@daily", "--until", "2020-01-01"], "error: the schedule `s` is never due from now on"),
        (&["--cron", "@daily", "--jitter", "5"], "error: --jitter: `5` is not a span"),
    ] {
        let said = here.run(&[&["schedule", "add", "s", "--job", "echo"], more].concat());
        assert!(said.code == Some(2) && said.err.starts_with(words), "{more:?}: {said:?}");
    }
    assert_eq!(here.run(&["schedule", "add", "s", "--job", "echo"]).code, Some(2), "it says no time");
    let said = here.run(&["schedule", "add", "s", "--every", "1h", "--job", "unheard-of"]);
    assert!(said.code == Some(0) && said.err.contains("note: no job `unheard-of` is known here"), "{said:?}");
    for verb in ["remove", "run", "pause", "resume"] {
        let said = here.run(&["schedule", verb, "none"]);
        assert!(said.code == Some(2) && said.err.contains("there is no schedule `none`"), "{verb}: {said:?}");
    }
    here.write("rowmill.toml", NIGHTLY);
    here.run(&["tick"]).well();
    let said = here.run(&["schedule", "remove", "nightly"]);
    assert!(said.code == Some(2) && said.err.contains("take it out of the configuration file"), "{said:?}");
}

#[test]
fn a_paused_schedule_asks_for_nothing_and_does_not_flood_afterwards() {
    let here = Installation::new("workers = 1\n[[schedule]]\nname = \"often\"\ncron = \"* * * * *\"\njob = \"echo\"\n");
    here.run(&["tick"]).well();
    let said = here.run(&["schedule", "pause", "often"]).well();
    assert!(said.starts_with("often is paused since ") && said.contains(" by "), "{said}");
    make_due(&here, "often", 60);
    here.run(&["tick"]).well();
    assert_eq!(here.count("1"), 0);
    let seen = &schedules(&here)[0];
    assert!(seen["paused"]["since"].is_i64() && seen["paused"]["by"].as_str().unwrap().contains('@'), "{seen}");
    let table = here.run(&["schedules"]).well();
    assert!(table.contains("paused since ") && table.contains("every minute"), "{table}");
    assert_eq!(
        here.run(&["schedule", "resume", "often"]).well(),
        "often goes on with the next tick (catch_up = once)\n"
    );
    here.run(&["tick"]).well();
    assert_eq!(here.count("1"), 1, "one for all that was missed");
    let history = here.json(&["schedules", "often"]);
    assert_eq!((&history[0]["outcome"], &history[1]["outcome"]), (&json!("fired"), &json!("skipped")), "{history}");
    assert!(
        history[1]["count"].as_i64() >= Some(59)
            && history[1]["reason"].as_str().unwrap().starts_with("it was paused by ")
    );
    assert_eq!(here.run(&["schedule", "resume", "often"]).well(), "often was not paused (catch_up = once)\n");
}

#[test]
fn a_schedule_is_run_by_hand() {
    let here = Installation::new(NIGHTLY);
    here.run(&["tick"]).well();
    here.await_workers(1);
    let said = here.run(&["schedule", "run", "nightly", "--wait"]).well();
    let mut lines = said.lines();
    let id: i64 = lines.next().unwrap().parse().unwrap();
    assert_eq!(lines.next(), Some("done"), "{said}");
    let param = here.json(&["task", &id.to_string()])["param"].as_str().unwrap().to_string();
    assert!(param.starts_with("{\"day\":\"20") && param.len() == "{\"day\":\"2026-01-01\"}".len(), "{param}");
    let history = here.json(&["schedules", "nightly"]);
    assert_eq!((&history[0]["by_hand"], &history[0]["task"]), (&json!(true), &json!(id)));
}

#[test]
fn a_command_decides_and_a_schedule_carries_its_own() {
    let schedule = |name: &str, only_if: &str| {
        format!(
            "[[schedule]]\nname = \"{name}\"\ncron = \"* * * * *\"\ncommand = [\"sh\", \"-c\", \"echo made > made-{name}\"]\nonly_if = {only_if}\n"
        )
    };
    let config = ["workers = 1\n".to_string(), schedule("ready", "[\"test\", \"-f\", \"flag\"]")].concat()
        + &schedule("never", "[\"sh\", \"-c\", \"echo no flag >&2; exit 3\"]")
        + &schedule("missing", "[\"no-such-program\"]");
    let here = Installation::new(&config);
    here.write("flag", "");
    here.run(&["tick"]).well();
    for name in ["ready", "never", "missing"] {
        make_due(&here, name, 0);
    }
    here.run(&["tick"]).well();
    within(BOUND, "the command to run", || (here.read("made-ready") == "made\n").then_some(()));
    let why = |n: usize| schedules(&here)[n]["last_missed_why"].as_str().map(str::to_string);
    assert_eq!(why(2), None);
    assert_eq!(why(1), Some("only_if: exit code 3: no flag".to_string()));
    assert!(why(0).unwrap().contains("no-such-program"), "{:?}", why(0));
    assert_eq!(here.count("1"), 1);
    assert_eq!(here.count("job = 'ready'"), 1);
}

#[test]
fn next_times_are_local_and_say_where_the_clock_changes() {
    let here = Installation::new(NIGHTLY);
    // Before any tick, since the file says it all.
    let times = here.json(&["next", "nightly", "-n", "400"]);
    let times = times.as_array().unwrap();
    assert_eq!(times.len(), 400);
    for one in times {
        let local = one["local"].as_str().unwrap();
        assert!(local.contains(" 02:00:00 ") || local.contains(" 03:00:00 +02:00"), "{one}");
    }
    let notes: Vec<&str> = times.iter().filter_map(|one| one["note"].as_str()).collect();
    for words in
        ["the clock is set forward by 1h before it", "the clock is set back by 1h before it", "twice; it is the first"]
    {
        assert!(notes.iter().any(|note| note.contains(words)), "{words}: {notes:?}");
    }
    assert!(notes.len() <= 6, "{notes:?}");
    let table = here.run(&["next", "nightly", "-n", "2"]).well();
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.contains(" 02:00:00 +0") && table.contains(":00:00 +00:00"), "{table}");
    let none = here.run(&["next", "nighty"]);
    assert!(none.code == Some(2) && none.err.contains("there is no schedule `nighty`"), "{none:?}");
    here.run(&["tick"]).well();
    here.run(&["schedule", "pause", "nightly"]).well();
    let said = here.run(&["next", "nightly"]);
    assert!(said.code == Some(0) && said.err.starts_with("note: it is paused"), "{said:?}");
}

#[test]
fn status_shows_what_is_next() {
    let here = Installation::new(&format!(
        "{NIGHTLY}[[schedule]]\nname = \"off\"\nat = \"2099-01-01 00:00\"\njob = \"echo\"\nenabled = false\n"
    ));
    here.run(&["tick"]).well();
    let status = here.json(&["status"]);
    let seen = &status["schedules"];
    assert!(seen[0]["next_at"].is_i64() && seen[0]["paused"] == json!(false), "{seen}");
    assert_eq!((&seen[1]["name"], &seen[1]["next_at"]), (&json!("off"), &Value::Null));
    let table = here.run(&["status"]).well();
    assert!(table.contains("02:00:00 +0") && table.contains("switched off"), "{table}");
}
