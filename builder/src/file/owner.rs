//! Owners by name or number, as the tree that is built knows them.

use graph::OwnerSpec;

use super::FileError;
use super::dest::{Dest, Owner, UserFile};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
const LONGEST: u64 = 10 << 20;

/// What a name stands for that the tree does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Nothing: it is an error.
    Refused,
    /// Root, or for a group the one that the user brings, with a remark.
    Remarked,
    /// The same without one.
    Root,
}

/// The numbers behind `--chown`. `root` is 0 in every tree, and so is a user or group that is empty.
pub(super) fn owner(dest: &mut Dest, spec: &OwnerSpec, unknown: Unknown) -> Result<Owner, FileError> {
    let (uid, primary) = match number(&spec.user) {
        Some(uid) => (uid, uid),
        None => {
            let found = user(dest, &spec.user)?;
            known(dest, found, Name { what: "user", name: &spec.user, file: PASSWD }, unknown)?
                .unwrap_or((0, 0))
        }
    };
    let gid = match spec.group.as_deref().map(|group| (group, number(group))) {
        None => primary,
        Some((_, Some(gid))) => gid,
        Some((group, None)) => {
            let found = named_group(dest, group)?;
            known(dest, found, Name { what: "group", name: group, file: GROUP }, unknown)?.unwrap_or(primary)
        }
    };
    Ok((uid, gid))
}

/// A number may have a sign, as in BuildKit: -1 leaves what is copied to root, and other negative numbers
/// count down from the largest id.
fn number(text: &str) -> Option<u32> {
    match (text, text.parse::<i32>()) {
        ("" | "root", _) | (_, Ok(-1)) => Some(0),
        (_, Ok(id)) => Some(id.cast_unsigned()),
        (_, Err(_)) => text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten(),
    }
}

/// A name that was looked for.
struct Name<'a> {
    what: &'static str,
    name: &'a str,
    file: &'static str,
}

fn known<T>(
    dest: &mut Dest,
    found: Option<T>,
    Name { what, name, file }: Name<'_>,
    unknown: Unknown,
) -> Result<Option<T>, FileError> {
    let error = FileError::UnknownName { what, name: name.to_owned(), file };
    match (&found, unknown) {
        (None, Unknown::Refused) => return Err(error),
        (None, Unknown::Remarked) => dest.remark(format!("{error}; as in BuildKit, it counts as root")),
        (None, Unknown::Root) | (Some(_), _) => {}
    }
    Ok(found)
}

fn user(dest: &Dest, name: &str) -> Result<Option<Owner>, FileError> {
    let Some(text) = read(dest, PASSWD)? else { return Ok(None) };
    Ok(lines(&text, name)
        .find_map(|fields| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))))
}

fn named_group(dest: &Dest, name: &str) -> Result<Option<u32>, FileError> {
    let Some(text) = read(dest, GROUP)? else { return Ok(None) };
    Ok(lines(&text, name).find_map(|fields| fields.get(2)?.parse().ok()))
}

/// The fields of the lines that begin with a name.
fn lines<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
    text.lines()
        .map(|line| line.trim().split(':').collect::<Vec<_>>())
        .filter(move |fields| fields.first() == Some(&name))
}

fn read(dest: &Dest, file: &'static str) -> Result<Option<String>, FileError> {
    let refused = |reason| Err(FileError::UserFile { file, reason });
    match dest.read_file(file, LONGEST)? {
        UserFile::Bytes(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        UserFile::Missing => Ok(None),
        UserFile::NotAFile => refused("is not a regular file"),
        UserFile::TooLong => refused("is longer than 10 MiB"),
    }
}
