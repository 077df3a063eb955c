//! Names of images, platforms and digests: what parses is written the same way again.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<oci::Reference>() {
        assert_eq!(name.to_string().parse::<oci::Reference>().as_ref(), Ok(&name));
    }
    if let Ok(platform) = text.parse::<oci::Platform>() {
        assert_eq!(platform.to_string().parse::<oci::Platform>().as_ref(), Ok(&platform));
    }
    if let Ok(digest) = text.parse::<oci::Digest>() {
        assert_eq!(digest.to_string(), text);
    }
});
