//! Secrets that open repositories and files behind addresses, by the ids that BuildKit gives them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use registry_client::Url;

const GIT_HEADER: &str = "GIT_AUTH_HEADER";
const GIT_TOKEN: &str = "GIT_AUTH_TOKEN";
const HTTP_HEADER: &str = "HTTP_AUTH_HEADER_";
const HTTP_TOKEN: &str = "HTTP_AUTH_TOKEN_";

/// Values of `Authorization` headers for hosts. Cheap to clone; never shown.
#[derive(Clone, Default)]
pub struct RemoteSecrets(Arc<BTreeMap<String, String>>);

impl RemoteSecrets {
    /// From secrets by id; those with other ids are of no use here. Line ends behind a value do not count.
    pub fn new(secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        let secrets = secrets.into_iter().filter(|(id, _)| Self::is_one(id));
        Self(Arc::new(secrets.map(|(id, value)| (id, value.trim_end().to_owned())).collect()))
    }

    /// Whether a secret of this id opens repositories or files.
    pub fn is_one(id: &str) -> bool {
        let of_git =
            |name: &str| id.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        of_git(GIT_HEADER) || of_git(GIT_TOKEN) || id.starts_with(HTTP_HEADER) || id.starts_with(HTTP_TOKEN)
    }

    /// The header for a repository behind `http` or `https`: those for its host (`GIT_AUTH_TOKEN.HOST`) come
    /// first, and a header before a token.
    pub(crate) fn of_repository(&self, url: &str) -> Option<String> {
        let url: Url = url.parse().ok().filter(is_http)?;
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str()?),
            None => url.host_str()?.to_owned(),
        };
        let header = |id: String| self.0.get(&id).cloned();
        let token = |id: String| {
            let pair = format!("x-access-token:{}", self.0.get(&id)?);
            Some(format!("basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
        };
        header(format!("{GIT_HEADER}.{host}"))
            .or_else(|| token(format!("{GIT_TOKEN}.{host}")))
            .or_else(|| header(GIT_HEADER.to_owned()))
            .or_else(|| token(GIT_TOKEN.to_owned()))
    }

    /// The header for a file behind an address.
    pub(crate) fn of_file(&self, url: &Url) -> Option<String> {
        let host = url.host_str()?;
        let token = || self.0.get(&format!("{HTTP_TOKEN}{host}")).map(|token| format!("Bearer {token}"));
        self.0.get(&format!("{HTTP_HEADER}{host}")).cloned().or_else(token)
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

impl std::fmt::Debug for RemoteSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RemoteSecrets").field(&self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(pairs: &[(&str, &str)]) -> RemoteSecrets {
        RemoteSecrets::new(pairs.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn what_names_the_host_comes_first_and_headers_before_tokens() {
        // `x-access-token:t` and `x-access-token:u` in base64.
        let (t, u) = ("basic eC1hY2Nlc3MtdG9rZW46dA==", "basic eC1hY2Nlc3MtdG9rZW46dQ==");
        let all = [
            ("GIT_AUTH_HEADER.h", "one"),
            ("GIT_AUTH_TOKEN.h", "t"),
            ("GIT_AUTH_HEADER", "two"),
            ("GIT_AUTH_TOKEN", "u\n"),
        ];
        for (first, expected) in ["one", t, "two", u].iter().enumerate() {
            let found = secrets(&all[first..]).of_repository("https://h/r.git");
            assert_eq!(found.as_deref(), Some(*expected));
        }
        assert_eq!(secrets(&all[..2]).of_repository("https://other/r.git"), None);
        assert_eq!(
            secrets(&[("GIT_AUTH_TOKEN.h:81", "t")]).of_repository("http://h:81/r").as_deref(),
            Some(t)
        );
        for elsewhere in ["ssh://h/r", "git@h:r", "git://h/r", "file:///r"] {
            assert_eq!(secrets(&all).of_repository(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn files_take_what_names_their_host() {
        let url = |text: &str| text.parse().expect("a URL");
        let all = secrets(&[("HTTP_AUTH_HEADER_h", "basic x"), ("HTTP_AUTH_TOKEN_i", "t")]);
        assert_eq!(all.of_file(&url("https://h:8/x")).as_deref(), Some("basic x"));
        assert_eq!(all.of_file(&url("http://i/x")).as_deref(), Some("Bearer t"));
        assert_eq!(all.of_file(&url("http://j/x")), None);
    }

    #[test]
    fn values_are_not_shown() {
        let shown = format!("{:?}", secrets(&[("GIT_AUTH_TOKEN", "hidden"), ("other", "hidden")]));
        assert_eq!(shown, "RemoteSecrets([\"GIT_AUTH_TOKEN\"])");
    }
}
