//! `--output`, right and wrong.

use builder::request::{AnnotationPlace, Destination, Rewrite};
use oci::Reference;

use super::*;

#[test]
fn kinds() {
    let tar = OutputKind::Tar(Destination::Stdout, TreeOptions::default());
    let local = |path: &str| OutputKind::Local(path.into(), LocalMode::Copy, TreeOptions::default());
    let image = |push, store| OutputKind::Image(ImageOutput { push, store, ..ImageOutput::default() });
    for (given, expected) in [
        ("type=oci,dest=o.tar", OutputKind::Oci(Destination::Path("o.tar".into()), Layout::Archive)),
        ("type=oci,dest=o,tar=false", OutputKind::Oci(Destination::Path("o".into()), Layout::Directory)),
        ("type=docker,dest=-", OutputKind::Docker(Destination::Stdout)),
        ("type=local,dest=out", local("out")),
        ("out", local("out")),
        ("-", tar),
        ("type=registry", image(Push::ByName, Keep::Yes)),
        ("type=image,push=true,store=false", image(Push::ByName, Keep::No)),
        ("type=cacheonly", OutputKind::CacheOnly),
    ] {
        assert_eq!(parse_output(given).unwrap().output.kind, expected, "{given}");
    }
}

#[test]
fn epochs() {
    for (given, epoch, rewrite) in [
        ("rewrite-timestamp=true,source-date-epoch=17", Some(17), true),
        ("rewrite-timestamp=true,source-date-epoch=", None, false),
        ("rewrite-timestamp=true", None, true),
    ] {
        let output = parse_output(&format!("type=oci,dest=o,{given}")).unwrap().output;
        assert_eq!(
            (output.source_date_epoch, output.rewrite == Rewrite::NotAfter),
            (epoch, rewrite),
            "{given}"
        );
    }
    assert!(parse_output("type=oci,dest=o,source-date-epoch=x").is_err());
}

#[test]
fn several_names_stand_in_quotes() {
    let output = parse_output("type=image,\"name=a,b:1\"").unwrap().output;
    let names: Vec<String> = output.names.iter().map(Reference::familiar).collect();
    assert_eq!(names, ["a:latest", "b:1"]);
}

#[test]
fn mistakes_are_refused() {
    for bad in [
        "dest=x,name=y",
        "type=nothing",
        "type=oci,dset=x",
        "type=oci,dest=",
        "type=local",
        "type=oci,dest=x,compression=lzma",
        "type=oci,dest=x,compression-level=11",
        "type=oci,dest=x,compression=zstd,oci-mediatypes=false",
        "type=oci,dest=x,tar=maybe",
        "type=image,name=UPPER",
        "type=image,unpack=true,rewrite-timestamp=true",
        "type=image,dangling-name-prefix=UPPER",
        "type=oci,dest=x,push=true",
        "type=oci,dest=x,compression=estargz,force-compression=true",
        "type=oci,dest=x,compression=estargz,compression-level=11",
        "type=oci,dest=x,compression=estargz,oci-mediatypes=false",
        "type=oci,dest=x,annotations.a=b",
        "type=oci,dest=x,annotation-thing.a=b",
        "type=oci,dest=x,annotation[nonsense/].a=b",
        "type=docker,dest=x,tar=false",
        "type=local,dest=x,mode=move",
        "type=local,dest=x,compression=gzip",
        "type=local,dest=x,attestation-prefix=a/b",
        "type=tar,dest=x,name=a",
        "type=tar,dest=x,dest=y",
        "type=cacheonly,dest=x",
    ] {
        assert!(parse_output(bad).is_err(), "{bad}");
    }
}

#[test]
fn every_option_of_an_image_is_taken() {
    let parsed = parse_output(
        "type=image,name=*,push=true,unpack=true,store=false,name-canonical=true,dangling-name-prefix=a/b,\
         danging-name-empty-only=true,registry.insecure=true,prefer-nondist-layers=1,annotation.k=v,\
         annotation-manifest[linux/arm64].k=w,annotation-index.i=v,annotation-index-descriptor.i=w,\
         annotation-manifest-descriptor.d=v",
    )
    .unwrap();
    let OutputKind::Image(image) = &parsed.output.kind else { panic!("{parsed:?}") };
    assert_eq!(parsed.trust, Trust::Insecure);
    assert_eq!((image.push, image.store, image.canonical), (Push::ByName, Keep::No, ExtraName::Yes));
    let dangling = image.dangling.as_ref().unwrap();
    assert_eq!((dangling.prefix.familiar().as_str(), dangling.beside_others), ("a/b:latest", ExtraName::No));
    assert_eq!(parsed.output.foreign_layers, builder::request::ForeignLayers::Keep);
    let arm = "linux/arm64".parse().unwrap();
    let value = |place, key: &str| parsed.output.annotations.of(place, Some(&arm))[key].clone();
    assert_eq!(value(AnnotationPlace::Manifest, "k"), "w");
    assert_eq!(value(AnnotationPlace::ManifestDescriptor, "d"), "v");
    assert_eq!(value(AnnotationPlace::Index, "i"), "v");
    assert_eq!(value(AnnotationPlace::IndexDescriptor, "i"), "w");
}

#[test]
fn every_option_of_a_tree_is_taken() {
    for (given, mode, split) in [
        ("type=local,dest=o,mode=delete,platform-split=false", LocalMode::Delete, PlatformSplit::Never),
        ("type=local,dest=o,platform-split=true", LocalMode::Copy, PlatformSplit::Always),
        ("type=local,dest=o,source-date-epoch=3,mode=copy", LocalMode::Copy, PlatformSplit::Several),
    ] {
        let options = TreeOptions { split, attestation_prefix: String::new() };
        assert_eq!(parse_output(given).unwrap().output.kind, OutputKind::Local("o".into(), mode, options));
    }
}
