//! The `WWW-Authenticate` header (RFC 9110, section 11.6.1), read leniently.

/// How a registry wants us to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token from another server.
    Bearer {
        /// Where tokens are had.
        realm: String,
        /// For whom.
        service: Option<String>,
        /// For what, joined by blanks.
        scope: Option<String>,
    },
}

/// The challenges in a header that this client can answer, in order.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut reader = Reader { rest: header };
    let mut found = Vec::new();
    while let Some((scheme, parameters)) = reader.challenge() {
        found.extend(understand(scheme, &parameters));
    }
    found
}

fn understand(scheme: &str, parameters: &[(&str, String)]) -> Option<Challenge> {
    let get = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    if scheme.eq_ignore_ascii_case("basic") {
        Some(Challenge::Basic)
    } else if scheme.eq_ignore_ascii_case("bearer") {
        Some(Challenge::Bearer { realm: get("realm")?, service: get("service"), scope: get("scope") })
    } else {
        None
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// The next scheme with its parameters.
    fn challenge(&mut self) -> Option<(&'a str, Vec<(&'a str, String)>)> {
        let scheme = loop {
            self.skip(|c| c.is_ascii_whitespace() || c == ',');
            if self.rest.is_empty() {
                return None;
            }
            match self.token() {
                "" => self.drop_one(),
                token => break token,
            }
        };
        let mut parameters = Vec::new();
        while let Some(parameter) = self.parameter() {
            parameters.push(parameter);
        }
        Some((scheme, parameters))
    }

    /// The next `name=value`, if that is what comes next; a bare word is the next scheme.
    fn parameter(&mut self) -> Option<(&'a str, String)> {
        let before = self.rest;
        self.skip(|c| c.is_ascii_whitespace() || c == ',');
        let name = self.token();
        self.skip(|c| c.is_ascii_whitespace());
        match self.rest.strip_prefix('=') {
            Some(rest) if !name.is_empty() => self.rest = rest,
            Some(_) | None => {
                self.rest = before;
                return None;
            }
        }
        self.skip(|c| c.is_ascii_whitespace());
        Some((name, self.value()))
    }

    fn value(&mut self) -> String {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([',', ' ', '\t']).unwrap_or(self.rest.len());
            let (value, rest) = self.rest.split_at(end);
            self.rest = rest;
            return value.to_owned();
        };
        let mut value = String::new();
        let mut characters = quoted.chars();
        loop {
            match characters.next() {
                None | Some('"') => break,
                Some('\\') => value.extend(characters.next()),
                Some(other) => value.push(other),
            }
        }
        self.rest = characters.as_str();
        value
    }

    fn token(&mut self) -> &'a str {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c);
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        token
    }

    fn skip(&mut self, unwanted: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(unwanted);
    }

    fn drop_one(&mut self) {
        let mut characters = self.rest.chars();
        characters.next();
        self.rest = characters.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn headers_seen_in_the_wild() {
        let check = |header: &str, expected: &[Challenge]| assert_eq!(parse(header), expected, "{header}");
        check("Basic realm=\"x\"", &[Challenge::Basic]);
        check("basic", &[Challenge::Basic]);
        check(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull""#,
            &[bearer(
                "https://auth.docker.io/token",
                Some("registry.docker.io"),
                Some("repository:library/alpine:pull"),
            )],
        );
        check(r#"BEARER Realm = "https://a/t" , Service=s"#, &[bearer("https://a/t", Some("s"), None)]);
        check(
            r#"Bearer realm=https://a/t,service="a \"b\"""#,
            &[bearer("https://a/t", Some("a \"b\""), None)],
        );
        check(
            r#"Negotiate, Basic realm="r", Bearer realm="https://t""#,
            &[Challenge::Basic, bearer("https://t", None, None)],
        );
        check(r#"Digest qop="auth, auth-int", nonce=abc==, Basic realm="x, y""#, &[Challenge::Basic]);
        check(
            r#"Bearer realm="https://t",scope="repository:a:pull,push repository:b:pull""#,
            &[bearer("https://t", None, Some("repository:a:pull,push repository:b:pull"))],
        );
        check(r#"Bearer realm="https://t"#, &[bearer("https://t", None, None)]);
        check("Bearer", &[]);
        check("", &[]);
        check("=,=\"", &[]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_text_is_read_to_its_end(header in "\\PC{0,200}") {
            parse(&header);
        }

        #[test]
        fn written_challenges_are_read_back(realm in "https://[a-z]{1,9}/[a-z\"\\\\ ,=]{0,9}", service in "[a-z.]{1,9}", basic in proptest::bool::ANY) {
            let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            let mut header = format!("Bearer realm={},service={}", quote(&realm), quote(&service));
            let mut expected = vec![bearer(&realm, Some(&service), None)];
            if basic {
                header.insert_str(0, "Basic realm=\"a, b=c\", ");
                expected.insert(0, Challenge::Basic);
            }
            proptest::prop_assert_eq!(parse(&header), expected);
        }
    }
}
