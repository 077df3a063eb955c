//! Attestations of what an output holds: as manifests beside images, as files beside trees.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use layer_store::{Kind, StackView, Store, Walk};
use oci::{Algorithm, Hasher, Platform, Reference};

use super::assemble::AssembledImage;
use super::error::{ExportError, TreeError};
use super::layers::{Based, free};
use super::request::FinishedTarget;
use super::stamp;
use crate::attest::{
    AttestationManifest, BuildFacts, Named, Statement, StatementError, Statements, Subjects, Trees,
    attestation_manifest, statements,
};
use crate::event::Event;
use crate::request::{AttestRequest, AttestationForm, Output};
use crate::worker::blocking;
use crate::{EventSink, Session};

/// What is attested, and what is known of the build.
#[derive(Clone, Debug)]
pub struct Attest {
    /// What is asked for.
    pub request: AttestRequest,
    /// What is known.
    pub facts: BuildFacts,
}

/// The attestations of the images of an output, one manifest for each.
pub(super) async fn of_images(
    session: &Session,
    attest: &Arc<Attest>,
    (output, request_epoch): (&Output, Option<i64>),
    made: impl Iterator<Item = (&Based, &AssembledImage)>,
    names: &[Reference],
    form: AttestationForm,
) -> Result<Vec<AttestationManifest>, ExportError> {
    let mut all = Vec::new();
    for (based, image) in made {
        let epoch = based.finished.epoch(output, request_epoch);
        let subject = image.manifest.descriptor().clone();
        let named = Named {
            subjects: Named::image_subjects(names, &image.platform, &subject.digest),
            platform: image.platform.clone(),
            name: names.first().map_or_else(|| "image".to_owned(), Reference::familiar),
            identity: image.config.descriptor().digest.to_string(),
            created: whole_seconds(image.config.parsed().created.as_deref()),
            span: span(&attest.facts, epoch)?,
        };
        let (store, finished) = (session.store.clone(), based.finished.clone());
        let (attest, events) = (Arc::clone(attest), session.events.clone());
        let found = blocking(free(), move || {
            let trees = trees(&store, &finished)?;
            let made = statements(&attest.request, &attest.facts, &named, &trees)?;
            Ok::<_, StatementError>(told(&events, made))
        });
        all.push(attestation_manifest(&subject, &found.await?, form));
    }
    Ok(all)
}

/// Tells the remarks; what stays is the statements.
fn told(events: &EventSink, made: Statements) -> Vec<Statement> {
    made.remarks.into_iter().for_each(|remark| events.send_blocking(Event::Warning(remark)));
    made.all
}

/// The trees that are looked through for a target.
pub(super) fn trees(store: &Store, finished: &FinishedTarget) -> Result<Trees, layer_store::StoreError> {
    let scan = |(name, snapshot): &(String, _)| Ok((name.clone(), store.stack(snapshot)?));
    Ok(Trees {
        view: store.stack(&finished.snapshot)?,
        scans: finished.scans.iter().map(scan).collect::<Result<_, _>>()?,
        generated: finished.generated.as_ref().map(|snapshot| store.stack(snapshot)).transpose()?,
    })
}

/// The attestations of a tree, as files with their names. `about` is put into the names where several
/// trees share a directory.
pub(super) fn of_tree(
    (attest, events): (&Attest, &EventSink),
    trees: &Trees,
    platform: &Platform,
    epoch: Option<i64>,
    (prefix, about): (&str, Option<&str>),
) -> Result<Vec<(PathBuf, Vec<u8>)>, ExportError> {
    let mut request = attest.request.clone();
    request.provenance = request.provenance.filter(|provenance| !provenance.inline_only);
    if request.is_empty() {
        return Ok(Vec::new());
    }
    let subjects = files(&trees.view)?;
    let mut identity = Hasher::new(Algorithm::Sha256);
    for (name, digest) in &subjects {
        identity.update(format!("{name}\0{digest:?}\0").as_bytes());
    }
    let named = Named {
        subjects,
        platform: platform.clone(),
        name: "files".to_owned(),
        identity: identity.finish().to_string(),
        created: stamp::text(epoch.unwrap_or_else(stamp::now))?,
        span: span(&attest.facts, epoch)?,
    };
    let found = told(events, statements(&request, &attest.facts, &named, trees)?);
    let file = |name: &str| match (about, name.split_once('.')) {
        (Some(about), Some((stem, rest))) => PathBuf::from(format!("{prefix}{stem}.{about}.{rest}")),
        (Some(about), None) => PathBuf::from(format!("{prefix}{name}.{about}")),
        (None, _) => PathBuf::from(format!("{prefix}{name}")),
    };
    let text = |value: &serde_json::Value| {
        serde_json::to_vec_pretty(value).unwrap_or_else(|error| unreachable!("plain data: {error}"))
    };
    Ok(found.iter().map(|statement| (file(&statement.filename), text(&statement.value))).collect())
}

/// Every regular file of a tree with its digest.
fn files(view: &StackView) -> Result<Subjects, TreeError> {
    let mut all = Vec::new();
    view.walk(Path::new("/"), &mut |path, entry| {
        if matches!(entry.attributes.kind, Kind::File { .. }) {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            let mut file = view.open(path)?;
            io::copy(&mut file, &mut hasher).map_err(|source| layer_store::StoreError::Stream { source })?;
            let name = path.strip_prefix("/").unwrap_or(path).to_string_lossy().into_owned();
            all.push((name, BTreeMap::from([("sha256".to_owned(), hasher.finish().hex().to_owned())])));
        }
        Ok(Walk::Continue)
    })?;
    Ok(all)
}

/// When the build began and ended, unless a rebuild is to say the same.
fn span(facts: &BuildFacts, epoch: Option<i64>) -> Result<Option<(String, String)>, ExportError> {
    match epoch {
        Some(_) => Ok(None),
        None => Ok(Some((stamp::text(facts.started)?, stamp::text(stamp::now())?))),
    }
}

/// SPDX has no fractions of seconds.
fn whole_seconds(time: Option<&str>) -> String {
    let parsed = time.and_then(|time| time.parse::<Timestamp>().ok());
    let seconds = parsed.map_or(0, Timestamp::as_second);
    stamp::text(seconds).unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}
