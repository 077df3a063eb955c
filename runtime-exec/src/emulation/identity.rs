//! The calls about credentials.

use rustix::io::Errno;
use rustix::thread::CapabilitySet as Cap;

use super::State;
use super::caller::Caller;
use super::calls::IdentityCall;
use super::credentials::{Credentials, NONE, OnLeavingRoot, Refused};
use crate::sys::notify::Answer;

/// As many supplementary groups as the kernel takes.
const MOST_GROUPS: u32 = 65536;
/// The first version of capability sets, which has 32 bits; the later ones have 64.
const SHORT_SETS: u32 = 0x1998_0330;
const LONG_SETS: [u32; 2] = [0x2007_1026, 0x2008_0522];

impl From<Refused> for Errno {
    fn from(_: Refused) -> Errno {
        Errno::PERM
    }
}

impl State {
    pub(super) fn identity(&mut self, caller: &Caller<'_>, call: IdentityCall) -> Result<Answer, Errno> {
        let who = self.threads.of(&caller.desk.proc, caller.thread())?.clone();
        let word = |index| caller.word(index);
        let mut new = who.clone();
        let mut value = 0;
        match call {
            IdentityCall::User => return number(who.user.real),
            IdentityCall::EffectiveUser => return number(who.user.effective),
            IdentityCall::Group => return number(who.group.real),
            IdentityCall::EffectiveGroup => return number(who.group.effective),
            IdentityCall::Users => {
                return three(caller, [who.user.real, who.user.effective, who.user.saved]);
            }
            IdentityCall::ThreeGroups => {
                return three(caller, [who.group.real, who.group.effective, who.group.saved]);
            }
            IdentityCall::Groups => return groups(caller, &who.groups),
            IdentityCall::SetUser => new.set_user(id(word(0))?)?,
            IdentityCall::SetGroup => new.set_group(id(word(0))?)?,
            IdentityCall::SetUsers => new.set_users(word(0), word(1))?,
            IdentityCall::SetTwoGroups => new.set_two_groups(word(0), word(1))?,
            IdentityCall::SetAllUsers => new.set_all_users([word(0), word(1), word(2)])?,
            IdentityCall::SetThreeGroups => new.set_three_groups([word(0), word(1), word(2)])?,
            IdentityCall::SetGroups => new.set_groups(read_groups(caller)?)?,
            IdentityCall::SetFileUser => {
                value = valid(word(0), &mut new, Credentials::set_file_user, who.user.files)
            }
            IdentityCall::SetFileGroup => {
                value = valid(word(0), &mut new, Credentials::set_file_group, who.group.files)
            }
            IdentityCall::Capabilities => return capabilities(caller, &who, self.bound),
            IdentityCall::SetCapabilities => return self.set_capabilities(caller, new),
            IdentityCall::Process => match word(0) as i32 {
                libc::PR_GET_KEEPCAPS => {
                    return number(u32::from(who.on_leaving_root == OnLeavingRoot::Keep));
                }
                libc::PR_SET_KEEPCAPS => {
                    new.on_leaving_root = match word(1) {
                        0 => OnLeavingRoot::Drop,
                        1 => OnLeavingRoot::Keep,
                        _ => return Err(Errno::INVAL),
                    }
                }
                // The timer slack numbers the credentials.
                libc::PR_SET_TIMERSLACK => {}
                _ => return Ok(Answer::Continue),
            },
        }
        if new != who {
            self.threads.set(&caller.desk.proc, caller.thread(), new)?;
        }
        Ok(Answer::Value(i64::from(value)))
    }

    /// Root's are really set, too. Another user has none to lose.
    fn set_capabilities(&mut self, caller: &Caller<'_>, mut new: Credentials) -> Result<Answer, Errno> {
        let header = caller.read(caller.argument(0), 8)?;
        let version = part(&header, 0);
        if !LONG_SETS.contains(&version) || !of_itself(caller, part(&header, 1))? {
            return Ok(Answer::Continue);
        }
        let sets = caller.read(caller.argument(1), 24)?;
        let set = |index| {
            Cap::from_bits_retain(u64::from(part(&sets, index)) | u64::from(part(&sets, index + 3)) << 32)
        };
        let before = new.clone();
        new.set_capabilities(set(0), set(1), set(2))?;
        let is_root = before.user.effective == 0;
        if new != before {
            self.threads.set(&caller.desk.proc, caller.thread(), new)?;
        }
        Ok(if is_root { Answer::Continue } else { Answer::Value(0) })
    }
}

fn number(value: u32) -> Result<Answer, Errno> {
    Ok(Answer::Value(i64::from(value)))
}

/// "As it is" is no id.
fn id(number: u32) -> Result<u32, Errno> {
    if number == NONE { Err(Errno::INVAL) } else { Ok(number) }
}

/// Tells what was before, also where the id is none.
fn valid(
    number: u32,
    who: &mut Credentials,
    set: impl FnOnce(&mut Credentials, u32) -> u32,
    before: u32,
) -> u32 {
    if number == NONE { before } else { set(who, number) }
}

fn three(caller: &Caller<'_>, ids: [u32; 3]) -> Result<Answer, Errno> {
    for (index, id) in ids.into_iter().enumerate() {
        caller.write(caller.argument(index), &id.to_ne_bytes())?;
    }
    Ok(Answer::Value(0))
}

fn groups(caller: &Caller<'_>, groups: &[u32]) -> Result<Answer, Errno> {
    let room = caller.word(0) as i32;
    if room < 0 {
        return Err(Errno::INVAL);
    }
    if room > 0 {
        if (room as usize) < groups.len() {
            return Err(Errno::INVAL);
        }
        let bytes: Vec<u8> = groups.iter().flat_map(|group| group.to_ne_bytes()).collect();
        if !bytes.is_empty() {
            caller.write(caller.argument(1), &bytes)?;
        }
    }
    Ok(Answer::Value(groups.len() as i64))
}

fn read_groups(caller: &Caller<'_>) -> Result<Vec<u32>, Errno> {
    let count = caller.word(0);
    if count > MOST_GROUPS {
        return Err(Errno::INVAL);
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    let bytes = caller.read(caller.argument(1), count as usize * 4)?;
    let mut groups: Vec<u32> = (0..count as usize).map(|index| part(&bytes, index)).collect();
    if groups.contains(&NONE) {
        return Err(Errno::INVAL);
    }
    groups.sort_unstable();
    Ok(groups)
}

/// The number at a place in an array of them.
fn part(bytes: &[u8], index: usize) -> u32 {
    let found = bytes.get(index * 4..index * 4 + 4).and_then(|four| four.try_into().ok());
    found.map_or(0, u32::from_ne_bytes)
}

/// Sets as they would be: really, every thread has those of root.
fn capabilities(caller: &Caller<'_>, who: &Credentials, bound: Cap) -> Result<Answer, Errno> {
    let header = caller.read(caller.argument(0), 8)?;
    let version = part(&header, 0);
    let known = version == SHORT_SETS || LONG_SETS.contains(&version);
    let as_they_are = who.permitted == bound && who.effective == bound && who.inheritable.is_empty();
    if as_they_are || !known || caller.argument(1) == 0 || !of_itself(caller, part(&header, 1))? {
        return Ok(Answer::Continue);
    }
    let sets = [who.effective, who.permitted, who.inheritable].map(|set| set.bits());
    let halves = if version == SHORT_SETS { 1 } else { 2 };
    let bytes: Vec<u8> = (0..halves)
        .flat_map(|half| sets.iter().flat_map(move |set| ((set >> (32 * half)) as u32).to_ne_bytes()))
        .collect();
    caller.write(caller.argument(1), &bytes)?;
    Ok(Answer::Value(0))
}

/// Whether a call names its own thread: by 0, or by its number inside, which is the last of them.
fn of_itself(caller: &Caller<'_>, process: u32) -> Result<bool, Errno> {
    Ok(process == 0 || caller.number_inside()? == process)
}
