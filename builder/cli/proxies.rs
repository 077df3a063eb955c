//! The proxies that builds and containers get: those that Docker's `config.json` has for the engine in use, or by
//! default; builds also those of the caller's environment.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::engine;
use crate::environment::Environment;
use crate::failure::Failure;

const DEFAULT: &str = "default";

/// Of the docker command's settings.
#[derive(Deserialize)]
struct Config {
    proxies: Option<BTreeMap<String, Proxies>>,
}

/// What a file says for one engine. Further keys are left to docker.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Proxies {
    http_proxy: Option<String>,
    https_proxy: Option<String>,
    ftp_proxy: Option<String>,
    no_proxy: Option<String>,
    all_proxy: Option<String>,
}

impl Proxies {
    /// As build arguments; what is empty says nothing.
    fn arguments(self) -> impl Iterator<Item = (String, String)> {
        let Self { http_proxy, https_proxy, ftp_proxy, no_proxy, all_proxy } = self;
        let named = [
            ("HTTP_PROXY", http_proxy),
            ("HTTPS_PROXY", https_proxy),
            ("FTP_PROXY", ftp_proxy),
            ("NO_PROXY", no_proxy),
            ("ALL_PROXY", all_proxy),
        ];
        named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.filter(|value| !value.is_empty())?)))
    }
}

/// Build arguments that carry proxies. A variable is said by one source alone, in whichever case.
///
/// Fails where the file cannot be read, and where it has proxies by engine and the engine is not to be found.
pub fn arguments(environment: &Environment) -> Result<Vec<(String, String)>, Failure> {
    let configured = configured(environment)?;
    let mut all = environment.proxies();
    all.retain(|(name, _)| !configured.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    all.extend(configured);
    Ok(all)
}

/// Variables of a container that carry proxies, each in both spellings but for the names that are `given`. As with
/// Docker the caller's environment has no say.
///
/// Fails where `arguments` does.
pub fn variables(environment: &Environment, given: &[&str]) -> Result<Vec<(String, String)>, Failure> {
    let spelt = |(name, value): (String, String)| [(name.to_lowercase(), value.clone()), (name, value)];
    let all = configured(environment)?.into_iter().flat_map(spelt);
    Ok(all.filter(|(name, _)| !given.contains(&name.as_str())).collect())
}

fn configured(environment: &Environment) -> Result<Vec<(String, String)>, Failure> {
    let Some(file) = environment.docker_dir().map(|dir| dir.join("config.json")) else {
        return Ok(Vec::new());
    };
    let failed = |why: String| Failure::usage(format!("proxies: {why}"));
    let Some(text) = engine::read(&file).map_err(failed)?.filter(|text| !text.trim_ascii().is_empty()) else {
        return Ok(Vec::new());
    };
    let config: Config = engine::parse(&file, &text).map_err(failed)?;
    let mut proxies = config.proxies.unwrap_or_default();
    let by_engine = proxies.keys().any(|key| key != DEFAULT);
    let host = if by_engine { Some(engine::host(environment).map_err(failed)?.0) } else { None };
    let chosen = host.and_then(|host| proxies.remove(&host)).or_else(|| proxies.remove(DEFAULT));
    Ok(chosen.unwrap_or_default().arguments().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file has proxies by default and for one engine; what counts goes by the environment.
    #[test]
    fn the_engine_in_use_decides_and_the_file_wins_over_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_str().unwrap();
        let text = r#"{"auths":{},"proxies":{
            "default":{"httpProxy":"http://d","noProxy":"","other":1},
            "tcp://far:2375":{"httpsProxy":"https://f","ftpProxy":"ftp://f","allProxy":"a://f"}}}"#;
        std::fs::write(dir.path().join("config.json"), text).unwrap();
        for (variables, expected) in [
            (&[][..], "HTTP_PROXY=http://d"),
            (&[("http_proxy", "http://e"), ("no_proxy", "e")][..], "no_proxy=e HTTP_PROXY=http://d"),
            (
                &[("DOCKER_HOST", "tcp://far:2375")][..],
                "HTTPS_PROXY=https://f FTP_PROXY=ftp://f ALL_PROXY=a://f",
            ),
            (&[("DOCKER_HOST", "ssh://other")][..], "HTTP_PROXY=http://d"),
        ] {
            let variables: Vec<_> = variables.iter().copied().chain([("DOCKER_CONFIG", at)]).collect();
            let found =
                arguments(&Environment::of(&variables)).unwrap_or_else(|failure| panic!("{}", failure.text));
            let found: Vec<String> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(found.join(" "), expected, "{variables:?}");
        }
    }

    /// As `docker run` has it, each spelling is a variable of its own.
    #[test]
    fn containers_get_both_spellings_but_for_what_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"proxies":{"default":{"httpProxy":"p","noProxy":"n"}}}"#;
        std::fs::write(dir.path().join("config.json"), text).unwrap();
        let at = dir.path().to_str().unwrap();
        let environment = Environment::of(&[("DOCKER_CONFIG", at), ("HTTPS_PROXY", "ours")]);
        for (given, expected) in [
            (&[][..], "http_proxy=p HTTP_PROXY=p no_proxy=n NO_PROXY=n"),
            (&["HTTP_PROXY", "no_proxy", "A"][..], "http_proxy=p NO_PROXY=n"),
        ] {
            let found = variables(&environment, given).unwrap_or_else(|failure| panic!("{}", failure.text));
            let found: Vec<String> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(found.join(" "), expected, "{given:?}");
        }
    }

    #[test]
    fn a_file_that_is_wrong_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), r#"{"proxies":{"default":{"httpProxy":7}}}"#).unwrap();
        let failure =
            arguments(&Environment::of(&[("DOCKER_CONFIG", dir.path().to_str().unwrap())])).unwrap_err();
        assert!(failure.text.contains("config.json"), "{}", failure.text);
        let absent = dir.path().join("absent");
        assert!(
            arguments(&Environment::of(&[("DOCKER_CONFIG", absent.to_str().unwrap())])).unwrap().is_empty()
        );
    }
}
