//! Who a thread takes itself for, and how the kernel's rules change that.

use rustix::thread::CapabilitySet as Cap;

/// "Leave as it is", and "no such id".
pub(super) const NONE: u32 = u32::MAX;

/// Capabilities about files, which follow the file system id.
const OF_FILES: Cap = Cap::CHOWN
    .union(Cap::DAC_OVERRIDE)
    .union(Cap::DAC_READ_SEARCH)
    .union(Cap::FOWNER)
    .union(Cap::FSETID)
    .union(Cap::LINUX_IMMUTABLE)
    .union(Cap::MKNOD)
    .union(Cap::MAC_OVERRIDE);

/// The four ids of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ids {
    pub(super) real: u32,
    pub(super) effective: u32,
    pub(super) saved: u32,
    /// What files are made and looked at with.
    pub(super) files: u32,
}

/// Whether capabilities survive that the last id of root is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum OnLeavingRoot {
    Drop,
    Keep,
}

/// The credentials of a thread.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Credentials {
    pub(super) user: Ids,
    pub(super) group: Ids,
    pub(super) groups: Vec<u32>,
    pub(super) permitted: Cap,
    pub(super) effective: Cap,
    pub(super) inheritable: Cap,
    pub(super) on_leaving_root: OnLeavingRoot,
}

/// The caller may not do that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// What executing a file changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SetId {
    /// The owner of a set-user-id file.
    pub(super) user: Option<u32>,
    /// The group of a set-group-id file.
    pub(super) group: Option<u32>,
}

type Result = std::result::Result<(), Refused>;

impl Ids {
    pub(super) fn all(id: u32) -> Ids {
        Ids { real: id, effective: id, saved: id, files: id }
    }

    fn has(&self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }

    /// `setuid`, `setgid`.
    fn set(&mut self, id: u32, privileged: bool) -> Result {
        if privileged {
            (self.real, self.saved) = (id, id);
        } else if id != self.real && id != self.saved {
            return Err(Refused);
        }
        (self.effective, self.files) = (id, id);
        Ok(())
    }

    /// `setreuid`, `setregid`.
    fn set_two(&mut self, real: u32, effective: u32, privileged: bool) -> Result {
        let allowed = (real == NONE || [self.real, self.effective].contains(&real))
            && (effective == NONE || self.has(effective));
        if !allowed && !privileged {
            return Err(Refused);
        }
        let before = self.real;
        let put = |id: u32, slot: &mut u32| {
            if id != NONE {
                *slot = id;
            }
        };
        put(real, &mut self.real);
        put(effective, &mut self.effective);
        if real != NONE || (effective != NONE && effective != before) {
            self.saved = self.effective;
        }
        self.files = self.effective;
        Ok(())
    }

    /// `setresuid`, `setresgid`.
    fn set_three(&mut self, ids: [u32; 3], privileged: bool) -> Result {
        if !privileged && ids.iter().any(|id| *id != NONE && !self.has(*id)) {
            return Err(Refused);
        }
        for (slot, id) in [&mut self.real, &mut self.effective, &mut self.saved].into_iter().zip(ids) {
            if id != NONE {
                *slot = id;
            }
        }
        self.files = self.effective;
        Ok(())
    }

    /// `setfsuid`, `setfsgid`: never fails, and tells what was before.
    fn set_files(&mut self, id: u32, privileged: bool) -> u32 {
        let before = self.files;
        if privileged || self.has(id) || id == before {
            self.files = id;
        }
        before
    }
}

impl Credentials {
    /// Those that a step starts with.
    pub(super) fn new(user: u32, group: u32, groups: Vec<u32>, capabilities: Cap) -> Credentials {
        Credentials {
            user: Ids::all(user),
            group: Ids::all(group),
            groups,
            permitted: capabilities,
            effective: capabilities,
            inheritable: Cap::empty(),
            on_leaving_root: OnLeavingRoot::Drop,
        }
    }

    pub(super) fn may(&self, capability: Cap) -> bool {
        self.effective.contains(capability)
    }

    pub(super) fn set_user(&mut self, id: u32) -> Result {
        self.change_user(|ids, privileged| ids.set(id, privileged))
    }

    pub(super) fn set_users(&mut self, real: u32, effective: u32) -> Result {
        self.change_user(|ids, privileged| ids.set_two(real, effective, privileged))
    }

    pub(super) fn set_all_users(&mut self, ids: [u32; 3]) -> Result {
        self.change_user(|own, privileged| own.set_three(ids, privileged))
    }

    pub(super) fn set_group(&mut self, id: u32) -> Result {
        self.group.set(id, self.effective.contains(Cap::SETGID))
    }

    pub(super) fn set_two_groups(&mut self, real: u32, effective: u32) -> Result {
        self.group.set_two(real, effective, self.effective.contains(Cap::SETGID))
    }

    pub(super) fn set_three_groups(&mut self, ids: [u32; 3]) -> Result {
        self.group.set_three(ids, self.effective.contains(Cap::SETGID))
    }

    /// Supplementary groups.
    pub(super) fn set_groups(&mut self, groups: Vec<u32>) -> Result {
        if !self.may(Cap::SETGID) {
            return Err(Refused);
        }
        self.groups = groups;
        Ok(())
    }

    /// Tells what was before.
    pub(super) fn set_file_user(&mut self, id: u32) -> u32 {
        let before = self.user.set_files(id, self.effective.contains(Cap::SETUID));
        match (before == 0, self.user.files == 0) {
            (true, false) => self.effective &= !OF_FILES,
            (false, true) => self.effective |= self.permitted & OF_FILES,
            (true, true) | (false, false) => {}
        }
        before
    }

    /// Tells what was before.
    pub(super) fn set_file_group(&mut self, id: u32) -> u32 {
        self.group.set_files(id, self.effective.contains(Cap::SETGID))
    }

    /// `capset`; what the real call refuses besides is left to it.
    pub(super) fn set_capabilities(&mut self, effective: Cap, permitted: Cap, inheritable: Cap) -> Result {
        let grows = !self.permitted.contains(permitted)
            || !permitted.contains(effective)
            || !(self.inheritable | self.permitted).contains(inheritable);
        if grows {
            return Err(Refused);
        }
        (self.effective, self.permitted, self.inheritable) = (effective, permitted, inheritable);
        Ok(())
    }

    /// After a program was executed; `bound` is what root can have.
    pub(super) fn executed(&self, set: SetId, bound: Cap) -> Credentials {
        let mut new = self.clone();
        let become_one = |ids: &mut Ids, owner: Option<u32>| {
            ids.effective = owner.unwrap_or(ids.effective);
            (ids.saved, ids.files) = (ids.effective, ids.effective);
        };
        become_one(&mut new.user, set.user);
        become_one(&mut new.group, set.group);
        new.on_leaving_root = OnLeavingRoot::Drop;
        let root = new.user.effective == 0 || new.user.real == 0;
        new.permitted = if root { bound | new.inheritable } else { Cap::empty() };
        new.effective = if new.user.effective == 0 { new.permitted } else { Cap::empty() };
        new
    }

    /// Whether a file of `owner` and `group` may be given to others; [`NONE`] leaves it.
    pub(super) fn may_give(&self, (owner, group): (u32, u32), (user, to): (u32, u32)) -> bool {
        let mine = self.user.files == owner;
        let user_stays = user == NONE || (mine && user == owner);
        let group_is_mine = to == group || to == self.group.files || self.groups.contains(&to);
        self.may(Cap::CHOWN) || (user_stays && (to == NONE || (mine && group_is_mine)))
    }

    fn change_user(&mut self, change: impl FnOnce(&mut Ids, bool) -> Result) -> Result {
        let before = self.user;
        change(&mut self.user, self.effective.contains(Cap::SETUID))?;
        let some_root = |ids: &Ids| [ids.real, ids.effective, ids.saved].contains(&0);
        if some_root(&before) && !some_root(&self.user) && self.on_leaving_root == OnLeavingRoot::Drop {
            (self.permitted, self.effective) = (Cap::empty(), Cap::empty());
        }
        match (before.effective == 0, self.user.effective == 0) {
            (true, false) => self.effective = Cap::empty(),
            (false, true) => self.effective = self.permitted,
            (true, true) | (false, false) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> Cap {
        crate::Capabilities::DEFAULT.set()
    }

    fn root() -> Credentials {
        Credentials::new(0, 0, Vec::new(), bound())
    }

    fn ids(of: &Credentials) -> [u32; 4] {
        let Ids { real, effective, saved, files } = of.user;
        [real, effective, saved, files]
    }

    #[test]
    fn root_that_became_another_user_cannot_come_back() {
        let mut who = root();
        assert_eq!(who.set_groups(vec![33]), Ok(()));
        assert_eq!(who.set_group(33), Ok(()));
        assert_eq!(who.set_user(33), Ok(()));
        assert_eq!(ids(&who), [33; 4]);
        assert_eq!((who.permitted, who.effective), (Cap::empty(), Cap::empty()));
        assert_eq!(who.set_user(0), Err(Refused));
        assert_eq!(who.set_group(0), Err(Refused));
        assert_eq!(who.set_groups(Vec::new()), Err(Refused));
        assert_eq!(who.set_all_users([NONE, 0, NONE]), Err(Refused));
    }

    #[test]
    fn an_effective_id_that_was_lent_comes_back() {
        let mut who = root();
        assert_eq!(who.set_users(NONE, 1000), Ok(()));
        // The saved id follows an effective one that differs from the real one.
        assert_eq!(ids(&who), [0, 1000, 1000, 1000]);
        assert!(!who.may(Cap::CHOWN));
        assert_eq!(who.set_users(NONE, 0), Ok(()));
        assert!(who.may(Cap::CHOWN));
        assert_eq!(who.set_all_users([NONE, 5, NONE]), Ok(()));
        assert_eq!(ids(&who), [0, 5, 1000, 5]);
    }

    #[test]
    fn capabilities_can_be_kept_and_raised() {
        let mut who = root();
        who.on_leaving_root = OnLeavingRoot::Keep;
        assert_eq!(who.set_user(7), Ok(()));
        assert_eq!((who.permitted, who.effective), (bound(), Cap::empty()));
        assert_eq!(who.set_capabilities(Cap::SETUID, bound(), Cap::empty()), Ok(()));
        assert_eq!(who.set_capabilities(Cap::SYS_ADMIN, bound(), Cap::empty()), Err(Refused));
        assert_eq!(who.set_user(0), Ok(()));
        assert_eq!(who.effective, bound());
    }

    #[test]
    fn a_set_user_id_file_lends_its_owner() {
        let mut who = root();
        assert_eq!(who.set_user(1000), Ok(()));
        let lent = who.executed(SetId { user: Some(0), group: Some(42) }, bound());
        assert_eq!(ids(&lent), [1000, 0, 0, 0]);
        assert_eq!((lent.group.effective, lent.group.real), (42, 0));
        assert_eq!(lent.effective, bound());
        let plain = who.executed(SetId::default(), bound());
        assert_eq!((ids(&plain), plain.effective), ([1000; 4], Cap::empty()));
    }

    #[test]
    fn files_are_given_by_their_owner_or_by_privilege() {
        let mut who = root();
        assert!(who.may_give((0, 0), (1000, 1000)));
        assert_eq!(who.set_groups(vec![50]), Ok(()));
        assert_eq!(who.set_user(1000), Ok(()));
        assert!(who.may_give((1000, 1), (NONE, 50)));
        assert!(who.may_give((1000, 1), (1000, 0)));
        assert!(!who.may_give((1000, 1), (NONE, 51)));
        assert!(!who.may_give((0, 0), (1000, NONE)));
        assert!(!who.may_give((1000, 1), (0, NONE)));
        assert!(who.may_give((0, 0), (NONE, NONE)));
    }

    #[test]
    fn the_file_system_id_takes_what_belongs_to_files_along() {
        let mut who = root();
        assert_eq!(who.set_file_user(9), 0);
        assert!(!who.may(Cap::CHOWN) && who.may(Cap::SETUID));
        assert_eq!(who.set_file_user(0), 9);
        assert!(who.may(Cap::CHOWN));
    }
}
