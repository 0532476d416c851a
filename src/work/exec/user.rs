//! As whom a program runs: `user = "name"` or `user = "name:group"`.
//!
//! Names are looked up in `/etc/passwd` and `/etc/group`, each time anew, before the fork. Other directories of users
//! (LDAP and the like) are not asked: a name that is only known there is refused with words. Only root can become
//! somebody else; whoever is that user already stays as it is.

use crate::share::{GROUP, Group, PASSWD, groups_of, line_of, number, read};
use std::fmt;

/// A user, and the group that is to be its first instead of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    name: String,
    group: Option<String>,
}

/// What the system says about a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Its first group and all that name it as a member, as at a login; without doubles.
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
    /// Whether a process has to change to become it.
    pub(super) switch: bool,
}

impl User {
    /// Reads `name` or `name:group`. Whether there is such a user is only looked at when a program is started.
    pub fn parse(text: &str) -> Result<User, String> {
        let (name, group) = match text.split_once(':') {
            Some((name, group)) => (name, Some(group)),
            None => (text, None),
        };
        let is_name = |name: &str| !name.is_empty() && !name.contains([':', '\n', '\0', '/']);
        if !is_name(name) || group.is_some_and(|group| !is_name(group)) {
            return Err(format!("`{}` is not a user; write \"name\" or \"name:group\"", text.escape_debug()));
        }
        Ok(User { name: name.to_string(), group: group.map(str::to_string) })
    }

    /// Whether the system knows it now. The error says what it does not know.
    pub fn is_known(&self) -> Result<(), String> {
        self.find().map(|_| ())
    }

    pub(super) fn find(&self) -> Result<Account, String> {
        let read = |file| read(file).map_err(|why| format!("its user `{self}` cannot be looked up in {why}"));
        self.find_in(&read(PASSWD)?, &read(GROUP)?)
    }

    /// The account by the text of passwd(5) and group(5).
    fn find_in(&self, passwd: &str, group: &str) -> Result<Account, String> {
        let broken = || format!("the line of the user `{}` in {PASSWD} cannot be read", self.name);
        let Some(line) = line_of(passwd, &self.name) else {
            return Err(format!("there is no user `{}` in {PASSWD}; make it, or mend `user`", self.name));
        };
        let (Some(uid), Some(own_gid), Some(home)) = (number(&line, 2), number(&line, 3), line.get(5)) else {
            return Err(broken());
        };
        let gid = match &self.group {
            None => own_gid,
            Some(name) => Group::find_in(name, group)
                .map(|group| group.gid)
                .ok_or_else(|| format!("there is no group `{name}` in {GROUP}; make it, or mend `user`"))?,
        };
        let mut groups = vec![gid];
        for other in groups_of(&self.name, group) {
            if !groups.contains(&other) {
                groups.push(other);
            }
        }
        Ok(Account { name: self.name.clone(), uid, gid, groups, home: (*home).to_string(), switch: true })
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}:{group}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl Account {
    /// What a process with these effective ids has to do about it; an error if it may not.
    pub(super) fn needed(mut self, euid: u32, egid: u32) -> Result<Account, String> {
        if euid != 0 && (euid, egid) != (self.uid, self.gid) {
            return Err(format!(
                "it is to run as the user `{}` (uid {}, gid {}), and only a worker of root may start it so; this one has \
                 uid {euid} and gid {egid}: run the workers as root or as that user, or take `user` out",
                self.name, self.uid, self.gid
            ));
        }
        self.switch = euid == 0;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWD_TEXT: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/var/www:/bin/false\n\
        webby:x:35:35::/:\nodd:x:many:1::/:\nshort:x:1\n";
    const GROUP_TEXT: &str = "root:x:0:\nweb:x:34:\nmail:x:8:web,webby\nadm:x:4:webby\nwebs:x:9:web\nweb2:x:34:web\n";

    fn find(text: &str) -> Result<Account, String> {
        User::parse(text)?.find_in(PASSWD_TEXT, GROUP_TEXT)
    }

    #[test]
    fn a_user_has_the_groups_of_a_login() {
        let web = Account {
            name: "web".into(),
            uid: 33,
            gid: 34,
            groups: vec![34, 8, 9],
            home: "/var/www".into(),
            switch: true,
        };
        assert_eq!(find("web"), Ok(web.clone()));
        assert_eq!(find("web:mail"), Ok(Account { gid: 8, groups: vec![8, 9, 34], ..web }));
        assert_eq!(find("root").map(|root| (root.uid, root.gid, root.groups)), Ok((0, 0, vec![0])));
    }

    #[test]
    fn what_is_not_known_is_said() {
        for (text, words) in [
            ("we", "there is no user `we`"),
            ("web:ma", "there is no group `ma`"),
            ("odd", "the line of the user `odd`"),
            ("short", "the line of the user `short`"),
            ("", "is not a user"),
            (":mail", "is not a user"),
            ("web:", "is not a user"),
            ("web:a:b", "is not a user"),
            ("a\nb", "`a\\nb` is not a user"),
        ] {
            let why = find(text).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }

    #[test]
    fn only_root_becomes_somebody_else() {
        let web = find("web").unwrap();
        assert!(web.clone().needed(0, 0).unwrap().switch);
        assert!(!web.clone().needed(33, 34).unwrap().switch, "it is that user already");
        for (euid, egid) in [(33, 8), (1000, 34), (1000, 1000)] {
            let why = web.clone().needed(euid, egid).unwrap_err();
            assert!(why.contains("`web` (uid 33, gid 34)") && why.contains(&format!("uid {euid}")), "{why}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_files_say_nobody_gets_a_number_that_does_not_stand_there(
            passwd in "((web|root|web |webs|):(x|):([0-9]{1,3}|4294967296|-1|):([0-9]{1,3}|x)(:{0,3}/[a-z:]{0,3})?\n|\\PC{0,9}\n?){0,5}",
            group in "((web|mail|web |):(x|):([0-9]{1,3}|y|):(web|mail|web,a|,web|)\n|\\PC{0,9}\n?){0,5}",
            user in "(web|root|web:mail|\\PC{0,6})",
        ) {
            let Ok(parsed) = User::parse(&user) else { return Ok(()) };
            let name = user.split(':').next().unwrap_or_default().to_string();
            match parsed.find_in(&passwd, &group) {
                Err(why) => prop_assert!(why.contains('`'), "{}", why),
                Ok(account) => {
                    let line = passwd.lines().find(|line| line.split(':').next() == Some(&*name)).expect("its line");
                    prop_assert_eq!(line.split(':').nth(2).and_then(|uid| uid.parse().ok()), Some(account.uid));
                    prop_assert!(account.groups.first() == Some(&account.gid));
                    let of_files = |gid: &u32| {
                        let digits = |text: &str, at| text.lines().any(|line| line.split(':').nth(at).and_then(|n| n.parse().ok()) == Some(*gid));
                        digits(&passwd, 3) || digits(&group, 2)
                    };
                    prop_assert!(account.groups.iter().all(of_files), "{:?}", account.groups);
                }
            }
        }
    }
}
