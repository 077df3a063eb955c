//! What a token says it allows, for who wants to know. Nothing is decided by it: only the registry can
//! tell whether a token is good.

use base64::Engine as _;
use serde::Deserialize;

use super::scope::Scopes;

/// The claims of distribution's tokens ("Token Authentication Implementation").
#[derive(Deserialize)]
struct Claims {
    access: Option<Vec<Access>>,
}

#[derive(Deserialize)]
struct Access {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    actions: Option<Vec<String>>,
}

/// The scopes in the token itself, where it is a JSON web token that has any.
pub(super) fn of_token(token: &str) -> Option<Scopes> {
    let payload = token.split('.').nth(1)?;
    let bytes =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&bytes).ok()?;
    let texts = claims.access?.into_iter().filter_map(|access| {
        let actions = access.actions.filter(|actions| !actions.is_empty())?;
        Some(format!("{}:{}:{}", access.kind, access.name, actions.join(",")))
    });
    Some(Scopes::parse(&texts.collect::<Vec<_>>().join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_of_tokens() {
        let token = |claims: &str| {
            let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
            of_token(&format!("e30.{payload}.sig")).map(|scopes| scopes.to_string())
        };
        assert_eq!(
            token(r#"{"access":[{"type":"repository","name":"a/b","actions":["push","pull"]},{"type":"repository","name":"c","actions":[]}]}"#)
                .as_deref(),
            Some("repository:a/b:pull,push")
        );
        assert_eq!(token(r#"{"access":[]}"#).as_deref(), Some(""));
        assert_eq!(token(r#"{"sub":"me"}"#), None);
        assert_eq!(token("no JSON"), None);
        assert_eq!(of_token("opaque"), None);
        assert_eq!(of_token("a.?.c"), None);
    }
}
