//! Sources of `ADD` that are not paths: files behind URLs and git repositories.

use graph::{Copy as CopyAction, Diagnostic, Edge, Meta, Op, Unpack};
use oci::Digest;

use super::contexts;
use super::copy::Transfer;
use super::git_remote::{self, GitRemote};
use super::inputs::Inputs;
use super::stage::StageBuilder;

impl StageBuilder<'_, '_, '_> {
    /// The copy of a remote source. `None`: it is a path.
    pub(crate) fn remote(
        &mut self,
        source: &str,
        transfer: &Transfer,
        inputs: &mut Inputs,
    ) -> Result<Option<CopyAction>, Diagnostic> {
        if let Some(remote) = git_remote::parse(source).map_err(|fault| self.error(fault))? {
            if !transfer.is_add {
                return Err(self
                    .error("source can't be a git ref for COPY")
                    .with_help("ADD can fetch repositories"));
            }
            return self.git_source(remote, transfer, inputs).map(Some);
        }
        if !is_http(source) {
            return Ok(None);
        }
        if !transfer.is_add {
            return Err(self.error("source can't be a URL for COPY").with_help("ADD can fetch files"));
        }
        let checksum = match &transfer.checksum {
            Some(text) => Some(self.digest(text)?),
            None => None,
        };
        let filename = file_name(source);
        let root = self.source_vertex(Op::Http(contexts::http(source, &filename, checksum)), transfer);
        let mut action = transfer.action(inputs.place(Some(root)), format!("/{filename}"));
        if transfer.unpack == Some(true) {
            action.unpack = Unpack::Detect;
        }
        Ok(Some(action))
    }

    fn git_source(
        &mut self,
        mut remote: GitRemote,
        transfer: &Transfer,
        inputs: &mut Inputs,
    ) -> Result<CopyAction, Diagnostic> {
        if let (Some(flag), Some(query)) = (transfer.keep_git_dir, remote.keep_git_dir)
            && flag != query
        {
            return Err(self.error("inconsistent keep-git-dir configuration"));
        }
        if let (Some(flag), Some(query)) = (&transfer.checksum, &remote.checksum)
            && flag != query
        {
            return Err(self.error(format!("checksum mismatch {flag:?} != {query:?}")));
        }
        remote.checksum = remote.checksum.or_else(|| transfer.checksum.clone());
        let found = contexts::git(remote, transfer.keep_git_dir, self.here, self.world)?;
        // While the commit is asked for, nothing of this graph is used.
        let root = found.map(|git| self.source_vertex(Op::Git(git), transfer));
        let mut action = transfer.action(inputs.place(root), "/".to_owned());
        action.dir_contents = true;
        Ok(action)
    }

    fn source_vertex(&mut self, op: Op, transfer: &Transfer) -> Edge {
        let meta = Meta { title: transfer.title.clone(), span: Some(self.here), no_cache: false };
        Edge::first(self.world.graph.add(op, Vec::new(), meta))
    }

    fn digest(&self, text: &str) -> Result<Digest, Diagnostic> {
        text.parse().map_err(|error| self.error(format!("invalid checksum {text:?}: {error}")))
    }

    /// `--checksum` is for one remote source.
    pub(crate) fn check_checksum(&self, transfer: &Transfer, sources: &[String]) -> Result<(), Diagnostic> {
        if transfer.checksum.is_none() {
            return Ok(());
        }
        let [source] = sources else {
            return Err(self.error("checksum can't be specified for multiple sources"));
        };
        if !is_http(source) && !matches!(git_remote::parse(source), Ok(Some(_)) | Err(_)) {
            return Err(self.error("checksum requires HTTP(S) or Git sources"));
        }
        Ok(())
    }
}

pub(crate) fn is_http(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// The name of a downloaded file: the last part of the path of its address.
pub(crate) fn file_name(address: &str) -> String {
    let path = url::Url::parse(address).map(|url| url.path().to_owned()).unwrap_or_default();
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let decoded = percent_decode(last);
    if matches!(decoded.as_str(), "" | "." | "..") || decoded.contains('/') {
        "__unnamed__".to_owned()
    } else {
        decoded
    }
}

/// `%41` is `A`; what is no UTF-8 afterwards stays as it was.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_downloads() {
        let cases = [
            ("http://h/p/a.tgz?x=1", "a.tgz"),
            ("http://h/p/", "p"),
            ("http://h", "__unnamed__"),
            ("http://h/", "__unnamed__"),
            ("http://h/a%20b#frag", "a b"),
            ("http://h/a%2Fb", "__unnamed__"),
        ];
        for (address, expected) in cases {
            assert_eq!(file_name(address), expected, "{address}");
        }
    }
}
