//! `USER` texts, resolved with the account files of a root file system.
//!
//! The forms are `name`, `uid`, `name:group`, `uid:gid` and their mixtures. A name must be in the
//! file; a number need not. Supplementary groups come only with a user that the file knows and
//! only where the text names no group.

use defence::Defence;
use thiserror::Error;

/// Who a step runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedUser {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// All groups, the primary one first.
    pub groups: Vec<u32>,
    /// Home directory of the account; `/` where there is no account.
    pub home: String,
}

/// A `USER` text that means nobody.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UserError {
    /// No account of that name.
    #[error("user {name:?} is not in /etc/passwd of the root file system")]
    UnknownUser {
        /// The name.
        name: String,
    },
    /// No group of that name.
    #[error("group {name:?} is not in /etc/group of the root file system")]
    UnknownGroup {
        /// The name.
        name: String,
    },
    /// A number that is no id.
    #[error("{text:?} is too large for a user or group id")]
    TooLarge {
        /// The number.
        text: String,
    },
}

/// One line of `/etc/passwd`, as far as it matters here.
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// One line of `/etc/group`.
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Resolves a `USER` text; the empty one is root. Absent files are empty ones.
pub fn resolve(text: &str, passwd: &[u8], group: &[u8]) -> Result<ResolvedUser, UserError> {
    let (user, group_part) = text.split_once(':').unwrap_or((text, ""));
    let passwd = String::from_utf8_lossy(passwd);
    let group = String::from_utf8_lossy(group);
    let user = if user.is_empty() { "0" } else { user };
    let uid = number(user)?;
    let account = accounts(&passwd).find(|account| match uid {
        Some(uid) => account.uid == uid,
        None => account.name == user,
    });
    let (uid, gid, home) = match (&account, uid) {
        (Some(account), _) => (account.uid, account.gid, account.home.to_owned()),
        (None, Some(uid)) => (uid, 0, "/".to_owned()),
        (None, None) => return Err(UserError::UnknownUser { name: user.to_owned() }),
    };
    if !group_part.is_empty() {
        let gid = group_id(group_part, &group)?;
        return Ok(ResolvedUser { uid, gid, groups: vec![gid], home });
    }
    let mut all = vec![gid];
    // `uid` alone with an account counts as that account; so does the root of an empty text.
    if let Some(account) = account {
        for found in
            groups(&group).filter(|line| line.members.split(',').any(|member| member == account.name))
        {
            if !all.contains(&found.gid) {
                all.push(found.gid);
            }
        }
    }
    Ok(ResolvedUser { uid, gid, groups: all, home })
}

fn group_id(text: &str, file: &str) -> Result<u32, UserError> {
    if let Some(gid) = number(text)? {
        return Ok(gid);
    }
    groups(file)
        .find(|line| line.name == text)
        .map(|line| line.gid)
        .ok_or_else(|| UserError::UnknownGroup { name: text.to_owned() })
}

/// The largest id that a step may have, as with Docker.
const LARGEST: u32 = i32::MAX.cast_unsigned();

/// `Some` for a number in range, `None` for a name. A number may have a sign, as with Docker; negative ones
/// are nobody's.
fn number(text: &str) -> Result<Option<u32>, UserError> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text.strip_prefix('-').is_some_and(|rest| rest.parse() == Ok(0_u32)) {
        return Ok(Some(0));
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    if !defence::stands(Defence::UserNumbersExact) {
        return Ok(text.parse::<u64>().ok().map(|id| id as u32));
    }
    match text.parse::<u32>() {
        Ok(id) if id <= LARGEST => Ok(Some(id)),
        Ok(_) | Err(_) => Err(UserError::TooLarge { text: text.to_owned() }),
    }
}

fn accounts(file: &str) -> impl Iterator<Item = Account<'_>> {
    file.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).filter(|home| !home.is_empty()).unwrap_or("/");
        Some(Account { name, uid, gid, home })
    })
}

fn groups(file: &str) -> impl Iterator<Item = Group<'_>> {
    file.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some(Group { name, gid, members: fields.next().unwrap_or_default() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n# a remark\nbroken line\nann:x:1000:1001:Ann:/home/ann:/bin/sh\nbob:x:7:8::::\n";
    const GROUP: &[u8] = b"root:x:0:\nwheel:x:10:root,ann\nann:x:1001:\nvideo:x:44:ann\nann2:x:45:annabel\n";

    fn check(text: &str, uid: u32, gid: u32, groups: &[u32], home: &str) {
        let expected = ResolvedUser { uid, gid, groups: groups.to_vec(), home: home.to_owned() };
        assert_eq!(resolve(text, PASSWD, GROUP), Ok(expected), "{text:?}");
    }

    #[test]
    fn every_form() {
        check("", 0, 0, &[0, 10], "/root");
        check("root", 0, 0, &[0, 10], "/root");
        check("ann", 1000, 1001, &[1001, 10, 44], "/home/ann");
        check("1000", 1000, 1001, &[1001, 10, 44], "/home/ann");
        check("ann:wheel", 1000, 10, &[10], "/home/ann");
        check("ann:5", 1000, 5, &[5], "/home/ann");
        check("12345", 12345, 0, &[0], "/");
        check("12345:6", 12345, 6, &[6], "/");
        check("bob", 7, 8, &[8], "/");
        check(":10", 0, 10, &[10], "/root");
        check("+1000:+5", 1000, 5, &[5], "/home/ann");
        check("-0", 0, 0, &[0, 10], "/root");
        check("2147483647", 2_147_483_647, 0, &[0], "/");
    }

    #[test]
    fn a_root_without_files_has_root_and_numbers() {
        let root = ResolvedUser { uid: 0, gid: 0, groups: vec![0], home: "/".to_owned() };
        assert_eq!(resolve("", b"", b""), Ok(root));
        assert_eq!(resolve("ann", b"", b""), Err(UserError::UnknownUser { name: "ann".into() }));
    }

    #[test]
    fn names_that_are_absent_and_numbers_that_are_no_ids() {
        assert_eq!(resolve("eve", PASSWD, GROUP), Err(UserError::UnknownUser { name: "eve".into() }));
        assert_eq!(resolve("ann:eve", PASSWD, GROUP), Err(UserError::UnknownGroup { name: "eve".into() }));
        for name in ["-1", "+", "-", "++1", "1_0"] {
            assert!(resolve(name, PASSWD, GROUP).is_err(), "{name}");
        }
        for text in ["2147483648", "4294967295", "4294967296", "99999999999999999999"] {
            let expected = Err(UserError::TooLarge { text: text.into() });
            assert_eq!(resolve(text, PASSWD, GROUP), expected);
        }
    }
}
