//! The devices of the host, and those that a step asks for.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use graph::{DeviceGrant, DeviceRequest};

use super::error::CdiError;
use super::spec::{ContainerEdits, Device, Format, Spec, parse};

/// Devices that share this note can be asked for by its value.
const CLASS: &str = "org.mobyproject.buildkit.device.class";
/// Devices with this note need no permission of the caller.
const AUTO_ALLOW: &str = "org.mobyproject.buildkit.device.autoallow";

/// All devices that some directories describe.
pub(super) struct Catalogue {
    directories: Vec<PathBuf>,
    specs: Vec<Described>,
    /// By full name: position of the file and of the device in it.
    devices: BTreeMap<String, Vec<(usize, usize)>>,
}

struct Described {
    path: PathBuf,
    /// Position of its directory: the larger counts more.
    weight: usize,
    spec: Spec,
}

/// A device that a step gets.
pub(super) struct Chosen<'a> {
    pub(super) name: String,
    /// What all devices of its file need.
    pub(super) common: &'a ContainerEdits,
    /// What it needs besides.
    pub(super) own: &'a ContainerEdits,
}

impl Catalogue {
    /// Reads all files of the directories; one that is not there describes nothing.
    pub(super) fn read(directories: &[PathBuf]) -> Result<Self, CdiError> {
        let mut specs = Vec::new();
        for (weight, directory) in directories.iter().enumerate() {
            for (path, format) in files(directory)? {
                let failed = |source| CdiError::Read { path: path.clone(), source };
                let text = std::fs::read_to_string(&path).map_err(failed)?;
                let spec = parse(&text, format)
                    .map_err(|reason| CdiError::Malformed { path: path.clone(), reason })?;
                specs.push(Described { path, weight, spec });
            }
        }
        let mut devices: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
        for (position, described) in specs.iter().enumerate() {
            for (number, device) in described.spec.devices.iter().enumerate() {
                let name = format!("{}={}", described.spec.kind, device.name);
                devices.entry(name).or_default().push((position, number));
            }
        }
        Ok(Self { directories: directories.to_vec(), specs, devices })
    }

    /// The devices that are asked for, each once.
    pub(super) fn choose(&self, requests: &[DeviceRequest]) -> Result<Vec<Chosen<'_>>, CdiError> {
        let mut chosen: Vec<Chosen<'_>> = Vec::new();
        for request in requests {
            let names = self.matching(&request.name)?;
            if names.is_empty() && request.required {
                return Err(CdiError::NotRegistered {
                    name: request.name.clone(),
                    directories: self.directories.clone(),
                });
            }
            for name in names {
                let (described, device) = self.device(name)?;
                check_grant(name, request, described, device)?;
                if chosen.iter().all(|known| known.name != name) {
                    chosen.push(Chosen {
                        name: name.to_owned(),
                        common: &described.spec.container_edits,
                        own: &device.container_edits,
                    });
                }
            }
        }
        Ok(chosen)
    }

    /// `vendor/class=name`, `vendor/class` for the first of a kind, `vendor/class=*` for all; else, or
    /// where that finds nothing, all of a class.
    fn matching(&self, asked: &str) -> Result<Vec<&str>, CdiError> {
        let (kind, name) = asked.split_once('=').unwrap_or((asked, ""));
        if kind.contains('/') {
            let of_kind = |full: &&String| full.split_once('=').is_some_and(|(own, _)| own == kind);
            let all = self.devices.keys().filter(of_kind).map(String::as_str);
            let found: Vec<&str> = match name {
                "" => all.take(1).collect(),
                "*" => all.collect(),
                _ => all.filter(|full| *full == asked).collect(),
            };
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let mut found = Vec::new();
        for name in self.devices.keys() {
            let (described, device) = self.device(name)?;
            if note(CLASS, described, device).as_deref() == Some(asked) {
                found.push(name.as_str());
            }
        }
        Ok(found)
    }

    /// The description that counts: that of the last directory.
    fn device(&self, name: &str) -> Result<(&Described, &Device), CdiError> {
        let places = self.devices.get(name).map(Vec::as_slice).unwrap_or_default();
        let weight = places.iter().map(|(spec, _)| self.specs[*spec].weight).max();
        let mut best = places.iter().filter(|(spec, _)| Some(self.specs[*spec].weight) == weight);
        match (best.next(), best.next()) {
            (Some((spec, device)), None) => {
                let described = &self.specs[*spec];
                Ok((described, &described.spec.devices[*device]))
            }
            (Some((first, _)), Some((second, _))) => Err(CdiError::Ambiguous {
                name: name.to_owned(),
                first: self.specs[*first].path.clone(),
                second: self.specs[*second].path.clone(),
            }),
            (None, _) => {
                Err(CdiError::NotRegistered { name: name.to_owned(), directories: self.directories.clone() })
            }
        }
    }
}

fn check_grant(
    name: &str,
    request: &DeviceRequest,
    described: &Described,
    device: &Device,
) -> Result<(), CdiError> {
    match request.grant {
        DeviceGrant::Given => Ok(()),
        DeviceGrant::ByDevice => match note(AUTO_ALLOW, described, device).as_deref() {
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(()),
            Some(_) | None => {
                Err(CdiError::NotAllowed { name: name.to_owned(), asked: request.name.clone() })
            }
        },
    }
}

/// A device's note, else its file's.
fn note(key: &str, described: &Described, device: &Device) -> Option<String> {
    let value = device.annotations.get(key).or_else(|| described.spec.annotations.get(key));
    value.map(|value| value.text())
}

/// The descriptions in a directory, by name.
fn files(directory: &Path) -> Result<Vec<(PathBuf, Format)>, CdiError> {
    let failed = |source| CdiError::Read { path: directory.to_owned(), source };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => found.push((path, Format::Json)),
            Some("yaml" | "yml") => found.push((path, Format::Yaml)),
            Some(_) | None => {}
        }
    }
    found.sort();
    Ok(found)
}
