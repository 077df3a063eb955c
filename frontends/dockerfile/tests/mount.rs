//! The options of `RUN --mount`.

use dockerfile::mount::{MountSpec, MountType};
use dockerfile::{EscapeChar, Spanned, expand, parse_mount};
use graph::{CacheSharing, Span};

fn read(text: &str) -> Result<MountSpec, String> {
    let values = |name: &str| (name == "V").then(|| "v,w".to_owned());
    let mut expand = |value: &str| expand(value, &values, EscapeChar::Backslash).map(|e| e.text);
    let written = Spanned::new(text.to_owned(), Span { start: 0, end: 0 });
    parse_mount(&written, &mut expand).map_err(|error| error.message)
}

#[test]
fn options() {
    let bind = read("from=a,src=/b,dst=/c").unwrap();
    assert_eq!((bind.kind, bind.read_only), (MountType::Bind, true));
    assert_eq!(
        (bind.from.as_deref(), bind.source.as_deref(), bind.target.as_deref()),
        (Some("a"), Some("/b"), Some("/c"))
    );
    assert!(!read("TYPE=Bind,rw,target=/x").unwrap().read_only);
    assert!(!read("ro=false,target=/x").unwrap().read_only);

    let cache = read("type=cache,id=$V,sharing=locked,target=/c,mode=0750,uid=1,gid=2").unwrap();
    assert_eq!(
        (cache.kind, cache.read_only, cache.sharing),
        (MountType::Cache, false, Some(CacheSharing::Locked))
    );
    assert_eq!(
        (cache.id.as_deref(), cache.mode, cache.uid, cache.gid),
        (Some("v,w"), Some(0o750), Some(1), Some(2))
    );

    assert_eq!(read("type=tmpfs,size=1.5GiB,target=/x").unwrap().size, Some(3 << 29));
    assert_eq!(read("type=tmpfs,size=64m,target=/x").unwrap().size, Some(64 << 20));
    assert_eq!(read("type=tmpfs,size=100,target=/x").unwrap().size, Some(100));

    let secret = read("type=secret,id=s,env=S,required").unwrap();
    assert_eq!((secret.env.as_deref(), secret.required), (Some("S"), true));
    assert_eq!(read("type=ssh").unwrap().kind, MountType::Ssh);
    assert_eq!(read("type=bind,\"target=/a,b\"").unwrap().target.as_deref(), Some("/a,b"));
    assert_eq!(read("target=/a,target=/b").unwrap().target.as_deref(), Some("/b"));
}

#[test]
fn refusals() {
    for (text, message) in [
        ("typ=tmpfs", "unexpected key 'typ' in 'typ=tmpfs' (did you mean type?)"),
        ("type=cach", "unsupported mount type \"cach\" (did you mean cache?)"),
        ("z", "invalid field 'z' must be a key=value pair"),
        ("required", "unexpected key 'required' for mount type 'bind'"),
        ("size=1", "unexpected key 'size' for mount type 'bind'"),
        ("type=tmpfs,size=x", "invalid value for size: x"),
        ("type=cache,sharing=lock", "unsupported sharing value \"lock\" (did you mean locked?)"),
        ("type=cache,mode=9", "invalid value 9 for mode"),
        ("type=cache,uid=-1", "invalid value -1 for uid"),
        (
            "type=secret,id=a,env=",
            "invalid value for env: the name of a variable is neither empty nor has it an =",
        ),
        (
            "type=secret,id=a,env==",
            "invalid value for env: the name of a variable is neither empty nor has it an =",
        ),
        ("ro=maybe", "invalid value for ro: maybe"),
        ("mode=1", "mode not allowed for \"bind\" type mounts"),
        ("type=tmpfs,gid=1", "gid not allowed for \"tmpfs\" type mounts"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,from=a,id=b", "secret mount should not have a from"),
        ("type=secret,source=a,id=b", "both source and id can't be set"),
        ("type=ssh,sharing=locked", "invalid cache sharing set for ssh mount"),
        ("target=\"a", "failed to parse csv: bare \" in a field without quotes"),
        ("target=${", "failed to process \"${\": syntax error: missing '}'"),
    ] {
        assert_eq!(read(text).unwrap_err(), message, "{text}");
    }
}
