//! Annotations as options write them.

use std::str::FromStr;

use builder::request::{Annotation, AnnotationPlace};
use oci::Platform;

/// Where an annotation goes, for which platform, and its key.
pub type Placed = (AnnotationPlace, Option<Platform>, String);

/// A field of `--output`: `annotation.KEY`, `annotation-TYPE.KEY`, `annotation-TYPE[PLATFORM].KEY`.
pub fn from_key(text: &str) -> Result<Placed, String> {
    let wrong = || format!("{text:?} is not annotation[-TYPE][[PLATFORM]].KEY");
    let rest = text.strip_prefix("annotation").ok_or_else(wrong)?;
    // The key may hold dots and brackets; a platform holds no dot that counts.
    let end = match (rest.find('['), rest.find('.')) {
        (Some(open), Some(dot)) if open < dot => open + rest[open..].find("].").ok_or_else(wrong)? + 1,
        (_, Some(dot)) => dot,
        (_, None) => return Err(wrong()),
    };
    let (whereto, key) = (&rest[..end], &rest[end + 1..]);
    let name = match whereto.strip_prefix('-') {
        Some(name) => name,
        None if whereto.is_empty() || whereto.starts_with('[') => whereto,
        None => return Err(wrong()),
    };
    let (place, platform) = placed(name)?;
    if key.is_empty() {
        return Err(wrong());
    }
    Ok((place, platform, key.to_owned()))
}

/// `TYPE`, `TYPE[PLATFORM]`, `[PLATFORM]` or nothing, which is the manifest.
fn placed(text: &str) -> Result<(AnnotationPlace, Option<Platform>), String> {
    let (name, platform) = match text.split_once('[') {
        Some((name, rest)) => {
            let platform = rest.strip_suffix(']').ok_or_else(|| format!("{text:?}: ] is missing"))?;
            (name, Some(platform.parse::<Platform>().map_err(|error| error.to_string())?))
        }
        None => (text, None),
    };
    let place = match name {
        "" => AnnotationPlace::Manifest,
        name => AnnotationPlace::named(name).ok_or_else(|| {
            format!(
                "unknown annotation type {name:?}; known are manifest, manifest-descriptor, index, \
                 index-descriptor"
            )
        })?,
    };
    match (place, &platform) {
        (AnnotationPlace::Index | AnnotationPlace::IndexDescriptor, Some(_)) => {
            Err(format!("{text:?}: an index is for all platforms"))
        }
        (_, _) => Ok((place, platform)),
    }
}

/// `--annotation [TYPE[PLATFORM][,TYPE…]:]KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnotationArg(pub Vec<Annotation>);

impl FromStr for AnnotationArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (whole, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not KEY=VALUE"))?;
        let (types, key) = whole.split_once(':').unwrap_or(("", whole));
        if key.is_empty() {
            return Err("an annotation needs a name".to_owned());
        }
        let one = |name: &str| {
            let (place, platform) = placed(name)?;
            Ok(Annotation { place, platform, key: key.to_owned(), value: value.to_owned() })
        };
        Ok(Self(types.split(',').map(one).collect::<Result<_, String>>()?))
    }
}

/// `--annotation` of `manifest create`: `[index|manifest-descriptor[[PLATFORM]][,TYPE…]:]KEY=VALUE`. Without a
/// type, it is of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexAnnotationArg(pub Vec<Annotation>);

impl FromStr for IndexAnnotationArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (whole, _) = text.split_once('=').ok_or_else(|| format!("{text:?} is not KEY=VALUE"))?;
        let text = if whole.contains(':') { text.to_owned() } else { format!("index:{text}") };
        let AnnotationArg(all) = text.parse()?;
        for one in &all {
            match one.place {
                AnnotationPlace::Index | AnnotationPlace::ManifestDescriptor => {}
                AnnotationPlace::Manifest | AnnotationPlace::IndexDescriptor => {
                    return Err(format!(
                        "{} annotations cannot be given to an index of images",
                        one.place.name()
                    ));
                }
            }
        }
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_outputs() {
        for (given, expected) in [
            ("annotation.a.b", "manifest all a.b"),
            ("annotation[linux/arm/v7].a", "manifest linux/arm/v7 a"),
            ("annotation-manifest-descriptor[linux/amd64].a[0].b", "manifest-descriptor linux/amd64 a[0].b"),
            ("annotation-index.a", "index all a"),
            ("annotation-index-descriptor.a", "index-descriptor all a"),
        ] {
            let (place, platform, key) = from_key(given).unwrap();
            let platform = platform.map_or("all".to_owned(), |platform| platform.to_string());
            assert_eq!(format!("{} {platform} {key}", place.name()), expected, "{given}");
        }
        for bad in [
            "annotation",
            "annotation.",
            "annotation-x.a",
            "annotation[linux.a",
            "annotationx.a",
            "annotation-index[linux/amd64].a",
        ] {
            assert!(from_key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn annotations_of_indexes_and_their_entries() {
        for (text, expected) in [
            ("a=b:c", Some("index a")),
            ("index:a=b", Some("index a")),
            ("manifest-descriptor[linux/arm64]:a=b", Some("manifest-descriptor a")),
            ("manifest:a=b", None),
            ("index-descriptor:a=b", None),
            ("a", None),
        ] {
            let found = text.parse::<IndexAnnotationArg>().ok();
            let found =
                found.map(|IndexAnnotationArg(all)| format!("{} {}", all[0].place.name(), all[0].key));
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn arguments() {
        let show = |text: &str| {
            let parsed: AnnotationArg = text.parse().unwrap();
            let one = |one: &Annotation| format!("{} {}={}", one.place.name(), one.key, one.value);
            parsed.0.iter().map(one).collect::<Vec<_>>().join(";")
        };
        assert_eq!(show("a=b=c:d"), "manifest a=b=c:d");
        assert_eq!(show("index,manifest[linux/arm64]:a=b"), "index a=b;manifest a=b");
        assert_eq!(show("manifest-descriptor:a="), "manifest-descriptor a=");
        for bad in ["a", "=b", "thing:a=b", "index:=b", "index[linux/amd64]:a=b"] {
            assert!(bad.parse::<AnnotationArg>().is_err(), "{bad}");
        }
    }
}
