//! Names of variables that look like secrets.

const SECRET: &[&str] =
    &["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
const HARMLESS: &[&str] = &["public", "file", "version"];

/// Whether one of the words of the name (between underscores) says "secret", and none says that it
/// is none after all.
pub(crate) fn looks_secret(name: &str) -> bool {
    let words: Vec<String> = name.split('_').map(str::to_ascii_lowercase).collect();
    let any = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    any(SECRET) && !any(HARMLESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for secret in ["DB_PASSWORD", "token", "API_KEY", "auth", "super_duper_secret_token", "apikey"] {
            assert!(looks_secret(secret), "{secret}");
        }
        for harmless in ["public_token", "SECRET_PASSPHRASE_FILE", "AUTH_MODULE_VERSION", "monkey", "tokens"]
        {
            assert!(!looks_secret(harmless), "{harmless}");
        }
    }
}
