//! The value of `RUN --mount`.

use graph::{CacheSharing, Diagnostic, Span};
use thiserror::Error;

use crate::expand::ExpandError;
use crate::suggest::with_guess;
use crate::syntax::Word;

/// A mount as the flag describes it. What is absent has its default; paths are as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountSpec {
    /// `type`, a bind mount unless it is given.
    pub kind: MountType,
    /// `from`: a stage, a context or an image.
    pub from: Option<String>,
    /// `source`, `src`
    pub source: Option<String>,
    /// `target`, `dst`, `destination`
    pub target: Option<String>,
    /// `readonly`, `ro`, `readwrite`, `rw`; by default caches and tmpfs are writable.
    pub read_only: bool,
    /// `size` in bytes, of a tmpfs; 0 is given as `None`.
    pub size: Option<u64>,
    /// `id`
    pub id: Option<String>,
    /// `sharing`, of a cache.
    pub sharing: Option<CacheSharing>,
    /// `required`, of a secret or an ssh socket.
    pub required: bool,
    /// `env`, of a secret: the variable that holds it.
    pub env: Option<String>,
    /// `mode`
    pub mode: Option<u32>,
    /// `uid`
    pub uid: Option<u32>,
    /// `gid`
    pub gid: Option<u32>,
    /// The flag.
    pub span: Span,
}

/// The kinds of mounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MountType {
    /// `bind`
    #[default]
    Bind,
    /// `cache`
    Cache,
    /// `tmpfs`
    Tmpfs,
    /// `secret`
    Secret,
    /// `ssh`
    Ssh,
}

impl MountType {
    const ALL: [Self; 5] = [Self::Bind, Self::Cache, Self::Tmpfs, Self::Secret, Self::Ssh];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }
}

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

/// Reads the value of a `--mount`. Each option's value goes through `expand` by itself, so that a
/// comma in a variable's value separates nothing.
pub fn parse_mount(
    written: &Word,
    expand: &mut dyn FnMut(&str) -> Result<String, ExpandError>,
) -> Result<MountSpec, Diagnostic> {
    let error = |message: String| Diagnostic::error(message, written.span);
    let fields = csv_fields(&written.value).map_err(|fault| error(fault.to_string()))?;
    let mut reader = Reader { spec: empty(written.span), read_only: None };
    for field in &fields {
        match field.split_once('=') {
            None => reader.bare(field).map_err(error)?,
            Some((key, value)) => {
                let value = expand(value).map_err(|fault| error(fault.to_string()))?;
                reader.pair(&key.to_lowercase(), value, field).map_err(error)?;
            }
        }
    }
    reader.finish().map_err(error)
}

fn empty(span: Span) -> MountSpec {
    MountSpec {
        kind: MountType::Bind,
        from: None,
        source: None,
        target: None,
        read_only: false,
        size: None,
        id: None,
        sharing: None,
        required: false,
        env: None,
        mode: None,
        uid: None,
        gid: None,
        span,
    }
}

/// A mount while its options are read. Errors are messages.
struct Reader {
    spec: MountSpec,
    read_only: Option<bool>,
}

impl Reader {
    fn bare(&mut self, field: &str) -> Result<(), String> {
        let key = field.to_lowercase();
        match key.as_str() {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => self.set_required(&key, true)?,
            _ => {
                let message = format!("invalid field '{field}' must be a key=value pair");
                return Err(with_guess(message, &key, ["readonly", "readwrite", "required"]));
            }
        }
        Ok(())
    }

    fn pair(&mut self, key: &str, value: String, field: &str) -> Result<(), String> {
        let spec = &mut self.spec;
        match key {
            "type" => spec.kind = kind(&value)?,
            "from" => spec.from = non_empty(value),
            "source" | "src" => spec.source = non_empty(value),
            "target" | "dst" | "destination" => spec.target = non_empty(value),
            "readonly" | "ro" => self.read_only = Some(boolean(key, &value)?),
            "readwrite" | "rw" => self.read_only = Some(!boolean(key, &value)?),
            "required" => self.set_required(key, boolean(key, &value)?)?,
            "size" => {
                if spec.kind != MountType::Tmpfs {
                    return Err(unexpected(key, spec.kind));
                }
                let size = bytes(&value).ok_or_else(|| format!("invalid value for {key}: {value}"))?;
                spec.size = Some(size).filter(|size| *size > 0);
            }
            "id" => spec.id = non_empty(value),
            "sharing" => spec.sharing = Some(sharing(&value)?),
            "mode" => spec.mode = Some(number(key, &value, 8)?),
            "uid" => spec.uid = Some(number(key, &value, 10)?),
            "gid" => spec.gid = Some(number(key, &value, 10)?),
            "env" => spec.env = Some(value),
            _ => return Err(with_guess(format!("unexpected key '{key}' in '{field}'"), key, KEYS)),
        }
        Ok(())
    }

    fn set_required(&mut self, key: &str, required: bool) -> Result<(), String> {
        if !matches!(self.spec.kind, MountType::Secret | MountType::Ssh) {
            return Err(unexpected(key, self.spec.kind));
        }
        self.spec.required = required;
        Ok(())
    }

    /// Checks what depends on several options.
    fn finish(self) -> Result<MountSpec, String> {
        let mut spec = self.spec;
        let kind = spec.kind;
        spec.read_only = self.read_only.unwrap_or(!matches!(kind, MountType::Cache | MountType::Tmpfs));
        if matches!(kind, MountType::Bind | MountType::Tmpfs) {
            let given = [("mode", spec.mode), ("uid", spec.uid), ("gid", spec.gid)];
            if let Some((key, _)) = given.iter().find(|(_, value)| value.is_some()) {
                return Err(format!("{key} not allowed for {:?} type mounts", kind.name()));
            }
        }
        if kind == MountType::Secret {
            secret_options(&spec)?;
        }
        if spec.sharing.is_some() && kind != MountType::Cache {
            return Err(format!("invalid cache sharing set for {} mount", kind.name()));
        }
        Ok(spec)
    }
}

fn secret_options(spec: &MountSpec) -> Result<(), String> {
    let refusal = if spec.from.is_some() {
        "secret mount should not have a from"
    } else if spec.sharing.is_some() {
        "secret mount should not define sharing"
    } else if spec.source.is_none() && spec.target.is_none() && spec.id.is_none() {
        "invalid secret mount. one of source, target required"
    } else if spec.source.is_some() && spec.id.is_some() {
        "both source and id can't be set"
    } else if spec.env.as_deref().is_some_and(|name| name.is_empty() || name.contains('=')) {
        "invalid value for env: the name of a variable is neither empty nor has it an ="
    } else {
        return Ok(());
    };
    Err(refusal.to_owned())
}

fn non_empty(value: String) -> Option<String> {
    Some(value).filter(|value| !value.is_empty())
}

fn unexpected(key: &str, kind: MountType) -> String {
    format!("unexpected key '{key}' for mount type '{}'", kind.name())
}

fn kind(value: &str) -> Result<MountType, String> {
    let found = MountType::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(value));
    found.ok_or_else(|| {
        with_guess(format!("unsupported mount type {value:?}"), value, MountType::ALL.map(MountType::name))
    })
}

fn sharing(value: &str) -> Result<CacheSharing, String> {
    match value.to_lowercase().as_str() {
        "shared" => Ok(CacheSharing::Shared),
        "private" => Ok(CacheSharing::Private),
        "locked" => Ok(CacheSharing::Locked),
        other => {
            let message = format!("unsupported sharing value {value:?}");
            Err(with_guess(message, other, ["shared", "private", "locked"]))
        }
    }
}

fn number(key: &str, value: &str, radix: u32) -> Result<u32, String> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let number = if digits { u32::from_str_radix(value, radix).ok() } else { None };
    number.ok_or_else(|| format!("invalid value {value} for {key}"))
}

fn boolean(key: &str, value: &str) -> Result<bool, String> {
    go_bool(value).ok_or_else(|| format!("invalid value for {key}: {value}"))
}

/// The words that Go takes for a truth value.
pub fn go_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A size with a binary unit: `64m`, `1.5GiB`, `100`.
fn bytes(value: &str) -> Option<u64> {
    let digits = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let unit = unit.trim_start().to_lowercase();
    let power = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    let size = number * 1024f64.powi(power);
    // Float to integer: bounded before, and the fraction of a byte is dropped.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (size.is_finite() && (0.0..9.0e18).contains(&size)).then_some(size as u64)
}

/// A line of comma separated values that is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum CsvFault {
    #[error("failed to parse csv: bare \" in a field without quotes")]
    BareQuote,
    #[error("failed to parse csv: extraneous or missing \" in a quoted field")]
    Quote,
}

/// The fields of a line of comma separated values; a quoted field may hold commas, and `""` for
/// a quote.
pub(crate) fn csv_fields(line: &str) -> Result<Vec<String>, CsvFault> {
    let mut fields = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                if rest[..end].contains('"') {
                    return Err(CsvFault::BareQuote);
                }
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        rest = match after.strip_prefix(',') {
            Some("") => {
                fields.push(String::new());
                ""
            }
            Some(next) => next,
            None if after.is_empty() => after,
            None => return Err(CsvFault::Quote),
        };
    }
    Ok(fields)
}

/// A field after its opening quote, and what follows its closing one.
fn quoted_field(mut rest: &str) -> Result<(String, &str), CsvFault> {
    let mut field = String::new();
    loop {
        let (before, after) = rest.split_once('"').ok_or(CsvFault::Quote)?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Ok((field, after)),
        }
    }
}
