//! The names in a directory, sorted, however many there are.
//!
//! The file system gives names in no order, and a directory may hold millions. So only the smallest names are kept,
//! up to a bound, and the directory is read again when what comes after them is asked for.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, RawDir, openat};

use crate::error::{At, Result};

/// So many bytes of names are kept at once.
const ROOM: usize = if cfg!(test) { 100 } else { 4 << 20 };

const LISTING_BUFFER: usize = 32 << 10;

/// Opens the directory each time it is read.
type Open<'a> = Box<dyn Fn() -> io::Result<OwnedFd> + Send + 'a>;

/// The names in a directory, sorted by bytes, each with what the file system says that it is; many say nothing.
///
/// Names that appear or vanish while the directory is read may be missed or told; each of the others is told once.
pub struct SortedNames<'a> {
    open: Open<'a>,
    page: Page,
    /// How many names of the page were told.
    told: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unread,
    /// Greater names than those of the page are left.
    More,
    /// The page holds the last names.
    Last,
}

impl<'a> SortedNames<'a> {
    /// Those of a directory that `open` opens for reading, whenever it has to be read.
    pub fn new(open: impl Fn() -> io::Result<OwnedFd> + Send + 'a) -> Self {
        Self { open: Box::new(open), page: Page::default(), told: 0, state: State::Unread }
    }

    /// Reads the names that come next, all at once.
    fn read_page(&mut self) -> io::Result<()> {
        let after = self.page.names().last().map(ToOwned::to_owned);
        let mut page = Page::default();
        // No name from here on has room.
        let mut bound: Option<Vec<u8>> = None;
        let directory = (self.open)()?;
        let mut buffer = Vec::with_capacity(LISTING_BUFFER);
        let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let before = after.as_ref().is_some_and(|after| name <= after.as_slice());
            let beyond = bound.as_ref().is_some_and(|bound| name >= bound.as_slice());
            if before || beyond || name == b"." || name == b".." {
                continue;
            }
            page.push(name, entry.file_type());
            if page.bytes.len() + page.places.len() * size_of::<u32>() > ROOM && page.places.len() > 1 {
                page.sort();
                bound = Some(page.keep_half());
            }
        }
        page.sort();
        self.state = if bound.is_some() { State::More } else { State::Last };
        (self.page, self.told) = (page, 0);
        Ok(())
    }

    fn advance(&mut self) -> io::Result<Option<(OsString, FileType)>> {
        loop {
            match (self.told < self.page.places.len(), self.state) {
                (true, _) => {
                    let (name, kind) = self.page.get(self.told);
                    let found = (OsString::from_vec(name.to_owned()), kind);
                    self.told += 1;
                    return Ok(Some(found));
                }
                (false, State::Last) => return Ok(None),
                (false, State::Unread | State::More) => self.read_page()?,
            }
        }
    }
}

impl Iterator for SortedNames<'_> {
    type Item = io::Result<(OsString, FileType)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

impl std::fmt::Debug for SortedNames<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SortedNames({} of {}, {:?})", self.told, self.page.places.len(), self.state)
    }
}

/// Some names, in few bytes.
#[derive(Debug, Default)]
struct Page {
    /// For each name its length in two bytes, its kind in one, and the name.
    bytes: Vec<u8>,
    /// Where each begins.
    places: Vec<u32>,
}

const HEAD: usize = 3;

impl Page {
    fn push(&mut self, name: &[u8], kind: FileType) {
        self.places.push(self.bytes.len() as u32);
        self.bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
        self.bytes.push((kind.as_raw_mode() >> 12) as u8);
        self.bytes.extend_from_slice(name);
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.places.sort_unstable_by(|one, other| name_at(bytes, *one).0.cmp(name_at(bytes, *other).0));
    }

    /// Drops the greater half of the sorted names, and says what the least of them was.
    fn keep_half(&mut self) -> Vec<u8> {
        let kept = self.places.len() / 2;
        let bound = name_at(&self.bytes, self.places[kept]).0.to_owned();
        let mut half = Self::default();
        for place in &self.places[..kept] {
            let (name, kind) = name_at(&self.bytes, *place);
            half.push(name, kind);
        }
        *self = half;
        bound
    }

    fn get(&self, nth: usize) -> (&[u8], FileType) {
        name_at(&self.bytes, self.places[nth])
    }

    fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.places.iter().map(|place| name_at(&self.bytes, *place).0)
    }
}

fn name_at(bytes: &[u8], place: u32) -> (&[u8], FileType) {
    let head = &bytes[place as usize..];
    let length = usize::from(u16::from_le_bytes([head[0], head[1]]));
    (&head[HEAD..HEAD + length], FileType::from_raw_mode(u32::from(head[2]) << 12))
}

/// The names in a host directory.
pub(crate) struct HostNames {
    host: PathBuf,
    names: SortedNames<'static>,
}

impl HostNames {
    pub(crate) fn of(host: &Path) -> Self {
        let path = host.to_owned();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let names = SortedNames::new(move || Ok(openat(CWD, &path, flags, Mode::empty())?));
        Self { host: host.to_owned(), names }
    }

    /// Whether a name may be the mark for a deleted name. To be asked before the first name is taken.
    pub(crate) fn may_hold_marks(&mut self) -> Result<bool> {
        if self.names.state == State::Unread {
            self.names.read_page().at(&self.host)?;
        }
        let page = &self.names.page;
        let suspicious = |nth| may_be_mark(page.get(nth).1);
        Ok(self.names.state != State::Last || (0..page.places.len()).any(suspicious))
    }
}

/// Whether a file of that kind may be the mark for a deleted name.
pub(crate) fn may_be_mark(kind: FileType) -> bool {
    match kind {
        FileType::CharacterDevice | FileType::Socket | FileType::Unknown => true,
        FileType::RegularFile
        | FileType::Directory
        | FileType::Symlink
        | FileType::Fifo
        | FileType::BlockDevice => false,
    }
}

impl Iterator for HostNames {
    type Item = Result<(OsString, FileType)>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.names.next()?.at(&self.host))
    }
}

/// The names of several sorted lists as one, each once, with the lists that have it.
pub(crate) struct Merged<I> {
    lists: Vec<(I, Option<OsString>)>,
    state: Began,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Began {
    No,
    Yes,
}

impl<I: Iterator<Item = Result<(OsString, FileType)>>> Merged<I> {
    pub(crate) fn new(lists: impl IntoIterator<Item = I>) -> Self {
        Self { lists: lists.into_iter().map(|list| (list, None)).collect(), state: Began::No }
    }

    /// The next name; `holders` gets the positions of the lists that have it.
    pub(crate) fn next(&mut self, holders: &mut Vec<usize>) -> Result<Option<OsString>> {
        holders.clear();
        if self.state == Began::No {
            self.state = Began::Yes;
            for (list, head) in &mut self.lists {
                *head = take(list)?;
            }
        }
        let least = self.lists.iter().filter_map(|(_, head)| head.as_deref()).min().map(OsStr::to_owned);
        let Some(least) = least else { return Ok(None) };
        for (nth, (list, head)) in self.lists.iter_mut().enumerate() {
            if head.as_deref() == Some(least.as_os_str()) {
                holders.push(nth);
                *head = take(list)?;
            }
        }
        Ok(Some(least))
    }
}

fn take<I: Iterator<Item = Result<(OsString, FileType)>>>(list: &mut I) -> Result<Option<OsString>> {
    Ok(list.next().transpose()?.map(|(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| std::fs::write(dir.path().join(name), "").unwrap());
        dir
    }

    fn listed(dir: &Path) -> Vec<OsString> {
        HostNames::of(dir).map(|name| name.unwrap().0).collect()
    }

    #[test]
    fn names_of_a_directory_that_is_read_in_pieces_come_sorted_and_once() {
        for count in [0, 1, 2, 7, 300] {
            let names: Vec<String> = (0..count).map(|number| format!("n{}", number * 7919 % 1000)).collect();
            let dir = directory(&names.iter().map(String::as_str).collect::<Vec<_>>());
            let mut sorted: Vec<OsString> = names.iter().map(OsString::from).collect();
            sorted.sort();
            assert_eq!(listed(dir.path()), sorted);
        }
        let long = ["a".repeat(255), "b".repeat(255), "c".repeat(255)];
        let dir = directory(&long.each_ref().map(String::as_str));
        assert_eq!(listed(dir.path()), long.map(OsString::from));
    }

    #[test]
    fn names_may_be_removed_while_they_are_taken() {
        let names: Vec<String> = (0..200).map(|number| format!("{number:03}")).collect();
        let dir = directory(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut seen = Vec::new();
        for name in HostNames::of(dir.path()) {
            let (name, _) = name.unwrap();
            std::fs::remove_file(dir.path().join(&name)).unwrap();
            seen.push(name);
        }
        assert_eq!(seen, names.iter().map(OsString::from).collect::<Vec<_>>());
    }

    #[test]
    fn marks_are_expected_only_where_the_file_system_shows_something_like_them() {
        let dir = directory(&["a", "b"]);
        assert!(!HostNames::of(dir.path()).may_hold_marks().unwrap());
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap();
        assert!(HostNames::of(dir.path()).may_hold_marks().unwrap());
    }

    #[test]
    fn lists_are_merged_with_who_has_each_name() {
        let dirs = [directory(&["a", "c"]), directory(&[]), directory(&["b", "c"])];
        let mut merged = Merged::new(dirs.iter().map(|dir| HostNames::of(dir.path())));
        let (mut holders, mut all) = (Vec::new(), Vec::new());
        while let Some(name) = merged.next(&mut holders).unwrap() {
            all.push((name.into_string().unwrap(), holders.clone()));
        }
        let expected = [("a", vec![0]), ("b", vec![2]), ("c", vec![0, 2])];
        assert_eq!(all, expected.map(|(name, holders)| (name.to_owned(), holders)));
    }
}
