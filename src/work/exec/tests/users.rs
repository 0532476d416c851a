//! Programs that run as another user: who they are, what they find, and that they are ended like any other.
//!
//! Only root can become somebody else. The user is `nobody`, who is on every Debian machine.

use super::*;

fn as_user(user: &str, script: &str) -> Command {
    Command { user: Some(User::parse(user).unwrap()), ..sh(script) }
}

fn words(command: &Command) -> String {
    let seen = run_it(command, b"");
    let Ending::Failed(Cause::NotStarted(why)) = seen.ending else { panic!("{command:?} came to {:?}", seen.ending) };
    why
}

#[test]
fn it_is_that_user_in_every_way() {
    if !is_root() {
        return;
    }
    let ids = "grep -E '^(Uid|Gid|Groups):' /proc/self/status; echo $HOME $USER $LOGNAME";
    let account = User::parse("nobody").unwrap().find().unwrap();
    let seen = run_it(&as_user("nobody", ids), b"");
    let all_four = |name: &str, id: u32| format!("{name}:\t{id}\t{id}\t{id}\t{id}");
    let groups: Vec<String> = account.groups.iter().map(u32::to_string).collect();
    let wanted = [
        all_four("Uid", account.uid),
        all_four("Gid", account.gid),
        format!("Groups:\t{} ", groups.join(" ")),
        format!("{} nobody nobody", account.home),
    ];
    assert_eq!(seen.texts(), wanted);
    let seen = run_it(&as_user("nobody:daemon", ids), b"");
    assert_eq!((seen.texts()[0], seen.texts()[1]), (wanted[0].as_str(), "Gid:\t1\t1\t1\t1"));
    let mut own_home = as_user("nobody", "echo $HOME $USER");
    own_home.env.insert("HOME".into(), "/tmp".into());
    assert_eq!(run_it(&own_home, b"").texts(), ["/tmp nobody"]);
    let seen = run_it(&as_user("root", ids), b"");
    assert_eq!((seen.texts()[0], seen.texts()[3]), ("Uid:\t0\t0\t0\t0", "/root root root"));
}

#[test]
fn it_keeps_no_power_and_no_way_back() {
    if !is_root() {
        return;
    }
    let powers = "grep -E '^Cap(Inh|Prm|Eff|Amb):' /proc/self/status; ulimit -c; cd /root && echo entered";
    let texts: Vec<String> = run_it(&as_user("nobody", powers), b"").texts().iter().map(ToString::to_string).collect();
    let capabilities: Vec<&String> = texts.iter().filter(|text| text.starts_with("Cap")).collect();
    assert!(
        capabilities.len() == 4 && capabilities.iter().all(|text| text.ends_with("\t0000000000000000")),
        "{texts:?}"
    );
    assert!(!texts.iter().any(|text| text == "entered"), "{texts:?}");
}

#[test]
fn it_may_open_its_own_pipes_and_nothing_of_ours() {
    if !is_root() {
        return;
    }
    let script = "cat /dev/stdin; echo err > /dev/stderr; echo out > /dev/stdout; echo mine > /dev/fd/3; \
                  cat /etc/shadow; setpriv --reuid 0 true; exit 0";
    let seen = run_it(&as_user("nobody", script), b"param\n");
    assert_eq!(seen.ending, Ending::Answered(Outcome::with_result(b"mine\n".to_vec())));
    let texts = seen.texts();
    for word in ["param", "err", "out"] {
        assert!(texts.contains(&word), "{texts:?}");
    }
    assert!(texts.iter().any(|text| text.contains("/etc/shadow: Permission denied")), "{texts:?}");
    assert!(texts.iter().any(|text| text.starts_with("setpriv: ")), "{texts:?}");
}

#[test]
fn it_is_ended_like_any_other() {
    if !is_root() {
        return;
    }
    let policy = Policy { timeout_ms: Some(1_500), grace_ms: 500, ..Policy::default() };
    let script = "trap 'echo asked' TERM; (trap '' TERM; sleep 1000) & echo $!; while :; do sleep 1000 & wait; done";
    let seen = run_with(&as_user("nobody", script), b"", &policy, |_, _| {});
    assert_eq!(seen.ending, Ending::Failed(Cause::Timeout { after_ms: 1_500 }));
    assert!(seen.texts()[1] == "asked" && ends(seen.texts()[0], 60), "{:?}", seen.lines);
}

#[test]
fn its_priority_is_set_while_it_may_be() {
    if is_root() {
        let limits = Limits { nice: Some(-5), ..Limits::default() };
        assert_eq!(run_it(&Command { limits, ..as_user("nobody", "nice") }, b"").texts(), ["-5"]);
    }
}

#[test]
fn what_is_wrong_with_the_user_is_said() {
    assert!(words(&as_user("no-such-user", "")).contains("there is no user `no-such-user` in /etc/passwd"));
    assert!(words(&as_user("nobody:no-such-group", "")).contains("there is no group `no-such-group` in /etc/group"));
    if is_root() {
        let folder = tempfile::tempdir().unwrap();
        let script = "printf '#!/bin/sh\\n' > closed; chmod 700 closed";
        assert_eq!(run_it(&sh_in(folder.path(), script), b"").ending, done());
        let argv = vec![folder.path().join("closed").into_os_string()];
        let why = words(&Command { argv, ..as_user("nobody", "") });
        assert!(why.contains("may not be started by the user `nobody`"), "{why}");
    } else {
        assert!(words(&as_user("root", "")).contains("only a worker of root may start it so"));
    }
}
