//! The `Link` header (RFC 8288), read leniently.

/// One link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link<'a> {
    /// A URL, perhaps relative.
    pub(crate) target: &'a str,
    relations: &'a str,
}

impl Link<'_> {
    /// Whether it has this relation.
    pub(crate) fn is(&self, relation: &str) -> bool {
        self.relations.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case(relation))
    }
}

/// The links of a header; what is not understood is passed over.
pub(crate) fn parse(header: &str) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    let mut rest = header;
    while let Some((_, opened)) = rest.split_once('<') {
        let Some((target, after)) = opened.split_once('>') else { break };
        let (relations, left) = parameters(after);
        links.push(Link { target: target.trim(), relations });
        rest = left;
    }
    links
}

/// The value of `rel`, and what follows the link's parameters.
fn parameters(text: &str) -> (&str, &str) {
    let (mut rest, mut relations) = (text.trim_start(), "");
    while let Some(parameter) = rest.strip_prefix(';') {
        let end = parameter.find(['=', ';', ',']).unwrap_or(parameter.len());
        let (name, tail) = parameter.split_at(end);
        let (value, tail) = match tail.strip_prefix('=') {
            Some(tail) => value(tail.trim_start()),
            None => ("", tail),
        };
        if name.trim().eq_ignore_ascii_case("rel") && relations.is_empty() {
            relations = value;
        }
        rest = tail.trim_start();
    }
    (relations, rest)
}

/// A quoted or bare value, and the rest.
fn value(text: &str) -> (&str, &str) {
    match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => {
            let end = text.find([';', ',']).unwrap_or(text.len());
            let (value, rest) = text.split_at(end);
            (value.trim_end(), rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_pages_are_found() {
        let next = |header: &str| {
            parse(header).into_iter().find(|link| link.is("next")).map(|link| link.target.to_owned())
        };
        let check = |header: &str, expected: Option<&str>| {
            assert_eq!(next(header).as_deref(), expected, "{header}");
        };
        check("</v2/a/tags/list?last=b&n=2>; rel=\"next\"", Some("/v2/a/tags/list?last=b&n=2"));
        check("</a>; rel=next", Some("/a"));
        check("</a> ;REL = \"prev NEXT\"", Some("/a"));
        check("</p>; rel=\"prev\", </n>; title=\"x, y; z\"; rel=\"next\"", Some("/n"));
        check("</p>; rel=prev,</n>;rel=next", Some("/n"));
        check("</a>; rel=\"prev\"; rel=\"next\"", None);
        check("</a>; rel=\"nextish\"", None);
        check("</a>", None);
        check("</a; rel=next", None);
        check("", None);
        check("<>;;;=,<", None);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_text_is_read_to_its_end(header in "[<>;,=\" a-z\\PC]{0,80}") {
            parse(&header);
        }
    }
}
