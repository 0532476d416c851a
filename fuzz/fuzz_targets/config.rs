//! The configuration: any file is read or refused, each problem with a place within it, in one line; what is accepted is the
//! same the next time, and has no problem that loading did not see.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rowmill::config::{Config, problems};
use std::path::PathBuf;
use std::sync::OnceLock;

fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let dir = std::env::var_os("ROWMILL_FUZZ_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let dir = dir.join(format!("config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a scratch folder");
        dir
    })
}

fn env(name: &str) -> Option<String> {
    (name == "PATH").then(|| "/usr/bin:/bin".to_string())
}

fuzz_target!(|bytes: &[u8]| {
    let dir = folder();
    std::fs::write(dir.join("rowmill.toml"), bytes).expect("a scratch file");
    let lines = String::from_utf8_lossy(bytes).matches('\n').count() + 1;
    let loaded = Config::load(None, dir, &env);
    let found = problems(None, dir, &env, &["noop"]);
    for problem in &found {
        let text = problem.to_string() + problem.hint.as_deref().unwrap_or_default();
        assert!(!text.contains(char::is_control), "{text:?}");
        let (line, column) = problem.place.line_column.expect("a problem has a place");
        assert!((1..=lines).contains(&line) && column >= 1, "{problem}");
    }
    match &loaded {
        Ok(config) => {
            let again = Config::load(None, dir, &env).expect("accepted once");
            assert_eq!(format!("{config:?}"), format!("{again:?}"));
            assert!(config.jobs.iter().all(|job| !job.command.argv.is_empty()));
            assert!((1..=4096).contains(&config.workers));
        }
        Err(e) => assert!(found.iter().any(|problem| !problem.remark && problem.to_string() == e.to_string()), "{e}"),
    }
});
