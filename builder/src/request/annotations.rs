//! Annotations of an output's documents.

use std::collections::BTreeMap;

use oci::Platform;

/// Where an annotation is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnotationPlace {
    /// In the manifest of an image.
    Manifest,
    /// In the descriptor of a manifest: in the index, else where a layout names it.
    ManifestDescriptor,
    /// In the index.
    Index,
    /// In the descriptor of the index, where a layout names it.
    IndexDescriptor,
}

/// One annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Where it is written.
    pub place: AnnotationPlace,
    /// For this platform alone; `None`: for all of them.
    pub platform: Option<Platform>,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// The annotations of an output. Of equal keys the last counts; one for a platform counts more than
/// one for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations(pub Vec<Annotation>);

impl Annotations {
    /// Those of one place; of a manifest, for its platform.
    pub fn of(&self, place: AnnotationPlace, platform: Option<&Platform>) -> BTreeMap<String, String> {
        let here = |annotation: &&Annotation| annotation.place == place;
        let pair = |annotation: &Annotation| (annotation.key.clone(), annotation.value.clone());
        let for_all = self.0.iter().filter(here).filter(|one| one.platform.is_none());
        let for_one = self
            .0
            .iter()
            .filter(here)
            .filter(|one| one.platform.is_some() && one.platform.as_ref() == platform);
        for_all.chain(for_one).map(pair).collect()
    }

    /// The platforms that are named.
    pub fn platforms(&self) -> impl Iterator<Item = &Platform> {
        self.0.iter().filter_map(|annotation| annotation.platform.as_ref())
    }

    /// The first that only an index can have.
    pub fn of_index(&self) -> Option<&Annotation> {
        self.0.iter().find(|annotation| match annotation.place {
            AnnotationPlace::Index | AnnotationPlace::IndexDescriptor => true,
            AnnotationPlace::Manifest | AnnotationPlace::ManifestDescriptor => false,
        })
    }
}

impl AnnotationPlace {
    /// As options write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::ManifestDescriptor => "manifest-descriptor",
            Self::Index => "index",
            Self::IndexDescriptor => "index-descriptor",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Manifest, Self::ManifestDescriptor, Self::Index, Self::IndexDescriptor]
            .into_iter()
            .find(|place| place.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(place: AnnotationPlace, platform: Option<&str>, value: &str) -> Annotation {
        let platform = platform.map(|text| text.parse().unwrap());
        Annotation { place, platform, key: "k".to_owned(), value: value.to_owned() }
    }

    #[test]
    fn what_is_said_of_a_platform_counts_more() {
        use AnnotationPlace::{Index, Manifest};
        let all = Annotations(vec![
            one(Manifest, Some("linux/arm64"), "arm"),
            one(Manifest, None, "first"),
            one(Manifest, None, "second"),
            one(Index, None, "index"),
        ]);
        let value = |place, platform: Option<&str>| {
            let platform: Option<Platform> = platform.map(|text| text.parse().unwrap());
            all.of(place, platform.as_ref()).get("k").cloned().unwrap_or_default()
        };
        assert_eq!(value(Manifest, Some("linux/arm64")), "arm");
        assert_eq!(value(Manifest, Some("linux/amd64")), "second");
        assert_eq!(value(Manifest, None), "second");
        assert_eq!(value(Index, None), "index");
        assert_eq!(value(AnnotationPlace::IndexDescriptor, None), "");
    }
}
