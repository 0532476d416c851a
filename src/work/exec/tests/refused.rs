//! Programs that cannot be started: each refusal says what to mend.
//!
//! The scripts are written by a shell, not by this process: a file that another thread's fork holds open for writing
//! at that moment could not be executed.

use super::*;

fn refusal(command: &Command) -> String {
    let seen = run_it(command, b"param");
    let Ending::Failed(Cause::NotStarted(why)) = seen.ending else { panic!("{command:?} came to {:?}", seen.ending) };
    assert!(seen.lines.is_empty());
    why
}

fn assert_says(why: &str, words: &[&str]) {
    assert!(words.iter().all(|word| why.contains(word)), "`{why}` lacks one of {words:?}");
}

/// A folder with one file for each way to go wrong.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo '#!/bin/sh' > plain
        echo '#!/no/such/thing -x' > lost; chmod +x lost
        printf '#!/bin/sh\\r\\nexit 0\\r\\n' > dos; chmod +x dos
        printf 'echo run by a shell; exit 0\\n' > bare; chmod +x bare
        : > empty; chmod +x empty
        printf '#!/bin/sh\\necho started in $(pwd -P) as $0\\n' > good; chmod +x good
        mkdir sub; ln -s nowhere dangling";
    assert_eq!(run_it(&sh_in(folder.path(), script), b"").ending, done());
    folder
}

#[test]
fn what_is_wrong_with_the_file_is_said() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let why = |name: &str| refusal(&command(&[&path(name), "argument"]));
    assert_says(&why("missing"), &["does not exist", &path("missing")]);
    assert_says(&why("dangling"), &["does not exist"]);
    assert_says(&why("plain"), &["not executable", &format!("chmod +x {}", path("plain"))]);
    assert_says(&why("sub"), &["is a folder"]);
    assert_says(&why("lost"), &["interpreter", "/no/such/thing -x"]);
    assert_says(&why("dos"), &["carriage return"]);
    assert_says(&why("empty"), &["first line such as #!/bin/sh"]);
    assert_says(&why("plain/below"), &["plain/below"]);
    assert_says(&why("bare"), &["first line such as #!/bin/sh"]);
}

#[test]
fn a_path_is_relative_to_the_folder_of_the_command() {
    let folder = folder();
    let started = format!("started in {} as ./good", folder.path().canonicalize().unwrap().display());
    let good = Command { cwd: folder.path().to_path_buf(), ..command(&["./good"]) };
    assert_eq!(run_it(&good, b"").texts(), [started]);
    let missing = Command { argv: vec!["./missing".into()], ..good };
    assert_says(&refusal(&missing), &["does not exist", &folder.path().display().to_string()]);
}

#[test]
fn a_bare_name_is_looked_for_in_the_path_only() {
    let folder = folder();
    let mut good = Command { cwd: folder.path().to_path_buf(), ..command(&["good"]) };
    assert_says(&refusal(&good), &["`good` is not in the PATH (/usr/local/bin:/usr/bin:/bin)"]);
    good.env.insert("PATH".into(), ":.:sub".into());
    assert_says(&refusal(&good), &["is not in the PATH (:.:sub)"]);
    let climbing = format!("{}bin", "../".repeat(30));
    let relative = Command { env: BTreeMap::from([("PATH".into(), climbing)]), ..command(&["sh"]) };
    assert_says(&refusal(&relative), &["is not in the PATH"]);
    good.env.insert("PATH".into(), format!("/nowhere:{}", folder.path().display()));
    assert_eq!(run_it(&good, b"").ending, done());
    let plain = Command { argv: vec!["plain".into()], ..good };
    assert_says(&refusal(&plain), &["not executable"]);
}

#[test]
fn what_is_wrong_with_the_call_is_said() {
    let call = command(&["true"]);
    assert_says(&refusal(&Command { argv: vec![], ..call.clone() }), &["empty"]);
    assert_says(&refusal(&Command { argv: vec!["".into()], ..call.clone() }), &["not in the PATH"]);
    let nul = Command { argv: vec!["true".into(), "a\0b".into()], ..call.clone() };
    assert_says(&refusal(&nul), &["argument 1", "NUL"]);
    let env = |name: &str, value: &str| {
        let mut changed = call.clone();
        changed.env.insert(name.into(), value.into());
        changed
    };
    assert_says(&refusal(&env("A", "\0")), &["`A`", "NUL"]);
    assert_says(&refusal(&env("A=B", "")), &["`A=B` cannot be the name"]);
    assert_says(&refusal(&env("", "x")), &["cannot be the name"]);
    let large = command(&["true", &"x".repeat(3_000_000)]);
    assert_says(&refusal(&large), &["larger than the kernel takes", "mend `command`"]);
    assert_says(&refusal(&Command { cwd: "/no/such/folder".into(), ..call.clone() }), &["/no/such/folder", "cwd"]);
    assert_says(&refusal(&Command { cwd: "/bin/sh".into(), ..call }), &["/bin/sh", "is not a folder"]);
}
