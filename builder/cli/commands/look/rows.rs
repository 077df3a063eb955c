//! Files of an image as lines or JSON.

use std::io::{BufWriter, StdoutLock, Write};
use std::path::Path;

use layer_store::{Attributes, Kind};
use serde_json::{Value, json};

use crate::args::ListForm;
use crate::progress;

/// Prints files one by one: a tree may have more of them than fit into memory.
pub struct Rows {
    form: ListForm,
    count: usize,
    out: BufWriter<StdoutLock<'static>>,
}

impl Rows {
    pub fn begin(form: ListForm) -> Self {
        Self { form, count: 0, out: BufWriter::new(std::io::stdout().lock()) }
    }

    /// Prints one file. A reader that went away is no failure.
    pub fn add(&mut self, path: &Path, attributes: &Attributes) {
        let before = if self.count == 0 { "[\n" } else { ",\n" };
        self.count += 1;
        drop(match self.form {
            ListForm::Table => writeln!(self.out, "{}", line(path, attributes)),
            ListForm::Json => write!(self.out, "{before}{}", row(path, attributes)),
        });
    }

    pub fn end(mut self) {
        drop(match (self.form, self.count) {
            (ListForm::Table, _) => Ok(()),
            (ListForm::Json, 0) => writeln!(self.out, "[]"),
            (ListForm::Json, _) => writeln!(self.out, "\n]"),
        });
        drop(self.out.flush());
    }
}

/// Letter as in `ls -l`, size or device, target.
fn parts(kind: &Kind) -> (char, String, Option<&Path>) {
    match kind {
        Kind::File { size } => ('-', size.to_string(), None),
        Kind::Directory => ('d', "0".to_owned(), None),
        Kind::Symlink { target } => ('l', "0".to_owned(), Some(target)),
        Kind::Fifo => ('p', "0".to_owned(), None),
        Kind::CharDevice { major, minor } => ('c', format!("{major},{minor}"), None),
        Kind::BlockDevice { major, minor } => ('b', format!("{major},{minor}"), None),
        Kind::Socket => ('s', "0".to_owned(), None),
    }
}

/// A path that is safe to print.
pub fn shown(path: &Path) -> String {
    progress::printable(path.as_os_str().as_encoded_bytes())
}

fn line(path: &Path, attributes: &Attributes) -> String {
    let (kind, size, target) = parts(&attributes.kind);
    let target = target.map(|target| format!(" -> {}", shown(target))).unwrap_or_default();
    format!(
        "{kind}{:04o} {:>5}:{:<5} {size:>12} {}{target}",
        attributes.mode,
        attributes.uid,
        attributes.gid,
        shown(path)
    )
}

/// A file as JSON.
pub fn row(path: &Path, attributes: &Attributes) -> Value {
    let (kind, device, target) = parts(&attributes.kind);
    let size = if let Kind::File { size } = attributes.kind { size } else { 0 };
    let mut row = json!({
        "path": path.to_string_lossy(),
        "kind": kind,
        "mode": format!("{:04o}", attributes.mode),
        "uid": attributes.uid,
        "gid": attributes.gid,
        "size": size,
        "mtime": attributes.mtime.secs,
    });
    if let Some(target) = target {
        row["target"] = target.to_string_lossy().into();
    }
    if matches!(kind, 'c' | 'b') {
        row["device"] = device.into();
    }
    row
}

/// What differs between the attributes of a file, in words.
pub fn changes(before: &Attributes, after: &Attributes) -> String {
    let mut all = Vec::new();
    let kinds = [parts(&before.kind), parts(&after.kind)];
    if kinds[0].0 != kinds[1].0 {
        all.push(format!("type {} -> {}", kinds[0].0, kinds[1].0));
    } else if before.kind != after.kind {
        let what = match kinds[0].0 {
            'l' => "target",
            'c' | 'b' => "device",
            _ => "size",
        };
        let said = |(_, size, target): &(char, String, Option<&Path>)| target.map_or(size.clone(), shown);
        all.push(format!("{what} {} -> {}", said(&kinds[0]), said(&kinds[1])));
    }
    if before.mode != after.mode {
        all.push(format!("mode {:04o} -> {:04o}", before.mode, after.mode));
    }
    if (before.uid, before.gid) != (after.uid, after.gid) {
        all.push(format!("owner {}:{} -> {}:{}", before.uid, before.gid, after.uid, after.gid));
    }
    if before.xattrs != after.xattrs {
        all.push("extended attributes".to_owned());
    }
    all.join(", ")
}
