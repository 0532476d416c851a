//! What `/etc/passwd` and `/etc/group` say. Other directories of users (LDAP and the like) are not asked.

use std::fs;

pub(crate) const PASSWD: &str = "/etc/passwd";
pub(crate) const GROUP: &str = "/etc/group";

/// A group of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number.
    pub gid: u32,
    /// The users that it names; those whose first group it is are not among them.
    members: Vec<String>,
}

impl Group {
    /// Looks the group up, each time anew. The error says what is not known, and what to do.
    pub fn find(name: &str) -> Result<Group, String> {
        let text = read(GROUP).map_err(|why| format!("the group `{name}` cannot be looked up in {why}"))?;
        Group::find_in(name, &text).ok_or_else(|| format!("there is no group `{name}` in {GROUP}"))
    }

    pub(crate) fn find_in(name: &str, text: &str) -> Option<Group> {
        let line = line_of(text, name)?;
        let members = line.get(3).copied().unwrap_or_default().trim_end().split(',');
        let members = members.filter(|member| !member.is_empty()).map(str::to_string).collect();
        Some(Group { name: name.to_string(), gid: number(&line, 2)?, members })
    }

    /// Whether a process of this one's rights belongs to it: root may do what it may.
    pub fn has_this_process(&self) -> bool {
        let gid = |group: &rustix::process::Gid| group.as_raw() == self.gid;
        rustix::process::geteuid().is_root()
            || gid(&rustix::process::getegid())
            || rustix::process::getgroups().is_ok_and(|groups| groups.iter().any(gid))
    }

    /// Whether it names this user: a process that was there before has not become a member by that.
    pub fn names(&self, user: &str) -> bool {
        self.members.iter().any(|member| member == user)
    }
}

/// The numbers of the groups of `text` that name this user.
pub(crate) fn groups_of(user: &str, text: &str) -> Vec<u32> {
    let all = text.lines().filter_map(|line| Group::find_in(line.split(':').next()?, line));
    all.filter(|group| group.names(user)).map(|group| group.gid).collect()
}

/// The name of a user; its number where it has none.
pub fn user_name(uid: u32) -> String {
    name_of(PASSWD, uid)
}

/// The name of a group; its number where it has none.
pub fn group_name(gid: u32) -> String {
    name_of(GROUP, gid)
}

fn name_of(file: &str, id: u32) -> String {
    let text = read(file).unwrap_or_default();
    let line = text.lines().map(fields).find(|line| number(line, 2) == Some(id));
    line.and_then(|line| line.first().map(|name| (*name).to_string())).unwrap_or_else(|| id.to_string())
}

/// The text of one of the files; the error names it.
pub(crate) fn read(file: &str) -> Result<String, String> {
    let bytes = fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(crate) fn line_of<'t>(text: &'t str, name: &str) -> Option<Vec<&'t str>> {
    text.lines().map(fields).find(|fields| fields.first() == Some(&name))
}

pub(crate) fn number(fields: &[&str], at: usize) -> Option<u32> {
    fields.get(at)?.parse().ok()
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "root:x:0:\nshop:x:7:ann,bob\nodd:x:many:ann\nmail:x:8:bobby\nshopping:x:9:ann\n";

    #[test]
    fn a_group_is_found_by_its_whole_name_with_those_it_names() {
        let shop = Group::find_in("shop", TEXT).unwrap();
        assert_eq!(shop.gid, 7);
        assert!(shop.names("ann") && shop.names("bob") && !shop.names("bobby") && !shop.names(""));
        assert_eq!(Group::find_in("root", TEXT).map(|root| (root.gid, root.members)), Some((0, Vec::new())));
        assert_eq!((Group::find_in("sho", TEXT), Group::find_in("odd", TEXT)), (None, None));
        assert_eq!(groups_of("ann", TEXT), [7, 9]);
    }

    #[test]
    fn what_is_not_there_is_said() {
        assert_eq!(Group::find("no-such-group").unwrap_err(), "there is no group `no-such-group` in /etc/group");
        assert_eq!((user_name(0), group_name(0)), ("root".to_string(), "root".to_string()));
        assert_eq!(user_name(3_999_999_999), "3999999999");
    }

    /// A name as such files have them.
    const NAME: &str = "([ab]{1,3}|[a-z_][a-z0-9_.$-]{0,5})";
    /// Lines that are none of ours: comments, NIS marks, too few fields, numbers that are none, what is no text.
    const NOISE: &str = "(#.{0,8}|\\+|:{0,6}|[a-z]{0,3}:x|[A-Z]{1,3}:x:(-1|4294967296|)?:[a-z,:]{0,6}|\\PC{0,6})";

    proptest! {
        #[test]
        fn any_file_of_groups_is_read(text in "([ab]{0,2}:x?:[0-9]{0,2}(:[ab,]{0,4})?\n|\\PC|[a-c:,\n0-9]){0,20}", name in "[ab:,\n]{0,2}") {
            if let Some(group) = Group::find_in(&name, &text) {
                let head = format!("{name}:");
                prop_assert!(text.lines().any(|line| line.starts_with(&head)));
                prop_assert!(!group.names(""));
            }
            let _ = (groups_of(&name, &text), line_of(&text, &name), text.lines().map(fields).count());
        }

        #[test]
        fn what_stands_in_the_file_is_found_among_whatever_else(
            groups in proptest::collection::btree_map(
                NAME, (any::<u32>(), proptest::collection::btree_set(NAME, 0..4)), 0..6),
            noise in proptest::collection::vec(NOISE, 6),
            user in NAME,
        ) {
            let mut text = String::new();
            // The longer of two names that begin alike comes first.
            for ((name, (gid, members)), noise) in groups.iter().rev().zip(&noise) {
                let members: Vec<&str> = members.iter().map(String::as_str).collect();
                text += &format!("{}\n{name}:x:{gid}:{}\n", noise.to_uppercase(), members.join(","));
            }
            let mut named = Vec::new();
            for (name, (gid, members)) in &groups {
                let found = Group::find_in(name, &text).expect("it stands there");
                prop_assert_eq!((found.gid, found.members.iter().cloned().collect()), (*gid, members.clone()));
                named.extend(members.contains(&user).then_some(*gid));
            }
            let mut of_user = groups_of(&user, &text);
            named.sort_unstable();
            of_user.sort_unstable();
            prop_assert_eq!(of_user, named);
        }
    }
}
