//! `rbuild images`, `rbuild tag` and `rbuild rm`.

use builder::error::Category;
use layer_store::{StoreError, StoredImage};
use oci::Reference;
use serde_json::json;

use crate::args::{Global, ImagesArgs, ListForm, RmArgs, TagArgs};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host::{self, Local};

/// Lists the images of the store.
pub fn list(args: &ImagesArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let local = host::open_local(global, environment)?;
    let images = local.store.images().map_err(local_failure)?;
    let text = match (args.quiet, args.format) {
        (true, _) => images.iter().map(|(_, image)| format!("{}\n", id(image))).collect(),
        (false, ListForm::Table) => table(&images),
        (false, ListForm::Json) => {
            let rows: Vec<_> = images.iter().map(|(name, image)| row(name, image)).collect();
            format!("{:#}\n", serde_json::Value::Array(rows))
        }
    };
    super::print(&text);
    Ok(())
}

/// Gives an image another name.
pub fn tag(args: &TagArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let (from, to) = (super::name(&args.image)?, super::name(&args.name)?);
    let local = host::open_local(global, environment)?;
    let image = find(&local, &from)?;
    local.store.tag(&to, &image).map_err(local_failure)
}

/// Removes names, and with the last name of an image what only it used.
pub fn remove(args: &RmArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let names = args.images.iter().map(|text| super::name(text)).collect::<Result<Vec<_>, _>>()?;
    let local = host::open_local(global, environment)?;
    for name in names {
        let was_there = local.store.remove_image(&name).map_err(local_failure)?;
        if !was_there && !args.force {
            return Err(no_such(&name));
        }
    }
    Ok(())
}

fn find(local: &Local, name: &Reference) -> Result<StoredImage, Failure> {
    local.store.image(name).map_err(local_failure)?.ok_or_else(|| no_such(name))
}

fn no_such(name: &Reference) -> Failure {
    Failure::new(Category::Local, format!("no image {} in the store", name.familiar()))
}

/// A failure of the store.
#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
pub fn local_failure(error: StoreError) -> Failure {
    Failure::from_error(Category::Local, &error)
}

/// Docker's image id: the digest of the config.
fn id(image: &StoredImage) -> String {
    image.variants.first().map(|variant| variant.config.digest.to_string()).unwrap_or_default()
}

fn repository(name: &Reference) -> String {
    let familiar = name.familiar();
    let cut = name.tag().map_or(0, |tag| tag.len() + 1);
    match name.digest() {
        None => familiar[..familiar.len() - cut].to_owned(),
        Some(_) => familiar,
    }
}

fn created(image: &StoredImage) -> String {
    jiff::Timestamp::from_second(image.created).map(|time| time.to_string()).unwrap_or_default()
}

fn row(name: &Reference, image: &StoredImage) -> serde_json::Value {
    json!({
        "name": name.familiar(),
        "id": id(image),
        "created": created(image),
        "platforms": image.variants.iter().map(|variant| variant.platform.to_string()).collect::<Vec<_>>(),
        "layers": image.variants.first().map_or(0, |variant| variant.snapshot.0.len()),
    })
}

fn table(images: &[(Reference, StoredImage)]) -> String {
    let mut rows = vec![["REPOSITORY", "TAG", "IMAGE ID", "PLATFORM", "CREATED"].map(str::to_owned)];
    for (name, image) in images {
        let short: String = id(image).trim_start_matches("sha256:").chars().take(12).collect();
        let platforms: Vec<String> =
            image.variants.iter().map(|variant| variant.platform.to_string()).collect();
        let tag = name.tag().unwrap_or("<none>").to_owned();
        rows.push([repository(name), tag, short, platforms.join(","), created(image)]);
    }
    super::columns(&rows)
}
