//! The part of Go's templates that `inspect --format` takes: fields, `index`, `len`, `json`, `join`, `upper`,
//! `lower`, pipes, `if`, `else`, `range`, and blanks cut off by `-`. Anything else is refused by name.

use serde_json::Value;

/// A template that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Node>);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    Show(Pipe),
    If { condition: Pipe, then: Vec<Node>, otherwise: Vec<Node> },
    Range { over: Pipe, each: Vec<Node>, none: Vec<Node> },
}

/// Calls, each with the result of the one before as its last argument.
type Pipe = Vec<Vec<Word>>;

#[derive(Clone, Debug, PartialEq)]
enum Word {
    /// `.A.B`; empty: the dot itself.
    Field(Vec<String>),
    Text(String),
    Number(u64),
    Function(Function),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Json,
    Join,
    Len,
    Index,
    Upper,
    Lower,
}

/// What ends a run of nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stop {
    Text,
    Else,
    End,
}

impl Template {
    /// Reads one. `\n` and `\t` may be written so.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.replace("\\n", "\n").replace("\\t", "\t");
        if text.starts_with("table ") {
            return Err("tables are not made; a template without `table` is taken".to_owned());
        }
        let mut rest = text.as_str();
        match nodes(&mut rest)? {
            (nodes, Stop::Text) => Ok(Self(nodes)),
            (_, Stop::Else) => Err("{{else}} without {{if}} or {{range}}".to_owned()),
            (_, Stop::End) => Err("{{end}} without {{if}} or {{range}}".to_owned()),
        }
    }

    /// Whether a field of the top is named anywhere.
    pub fn names(&self, field: &str) -> bool {
        fn pipe(pipe: &Pipe, field: &str) -> bool {
            let is =
                |word: &Word| matches!(word, Word::Field(path) if path.first().is_some_and(|f| f == field));
            pipe.iter().flatten().any(is)
        }
        fn any(all: &[Node], field: &str) -> bool {
            all.iter().any(|node| match node {
                Node::Text(_) => false,
                Node::Show(shown) => pipe(shown, field),
                Node::If { condition: by, then: one, otherwise: other }
                | Node::Range { over: by, each: one, none: other } => {
                    pipe(by, field) || any(one, field) || any(other, field)
                }
            })
        }
        any(&self.0, field)
    }

    /// The text for a value.
    pub fn fill(&self, dot: &Value) -> Result<String, String> {
        let mut text = String::new();
        fill(&self.0, dot, &mut text)?;
        Ok(text)
    }
}

/// Reads nodes up to what ends them.
fn nodes(rest: &mut &str) -> Result<(Vec<Node>, Stop), String> {
    let mut all = Vec::new();
    loop {
        let Some((before, after)) = rest.split_once("{{") else {
            all.push(Node::Text((*rest).to_owned()));
            *rest = "";
            return Ok((all, Stop::Text));
        };
        let (inside, after) = after.split_once("}}").ok_or("{{ without }}")?;
        let (before, inside) = match inside.strip_prefix('-') {
            Some(inside) => (before.trim_end(), inside),
            None => (before, inside),
        };
        let (inside, after) = match inside.strip_suffix('-') {
            Some(inside) => (inside, after.trim_start()),
            None => (inside, after),
        };
        *rest = after;
        all.push(Node::Text(before.to_owned()));
        let inside = inside.trim();
        let (word, more) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
        match word {
            "end" => return Ok((all, Stop::End)),
            "else" => return Ok((all, Stop::Else)),
            "if" => {
                let (then, otherwise) = branches(rest)?;
                all.push(Node::If { condition: pipe(more)?, then, otherwise });
            }
            "range" => {
                let (each, none) = branches(rest)?;
                all.push(Node::Range { over: pipe(more)?, each, none });
            }
            _ if inside.starts_with("/*") => {}
            _ => all.push(Node::Show(pipe(inside)?)),
        }
    }
}

fn branches(rest: &mut &str) -> Result<(Vec<Node>, Vec<Node>), String> {
    let (first, stop) = nodes(rest)?;
    match stop {
        Stop::End => Ok((first, Vec::new())),
        Stop::Else => match nodes(rest)? {
            (second, Stop::End) => Ok((first, second)),
            (_, Stop::Else | Stop::Text) => Err("{{else}} without {{end}}".to_owned()),
        },
        Stop::Text => Err("{{if}} or {{range}} without {{end}}".to_owned()),
    }
}

fn pipe(text: &str) -> Result<Pipe, String> {
    let mut calls: Pipe = vec![Vec::new()];
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        if first == '|' {
            calls.push(Vec::new());
            rest = rest[1..].trim_start();
            continue;
        }
        let end = match first {
            '"' | '`' => rest[1..].find(first).map(|at| at + 2).ok_or("a text without its end")?,
            _ => rest.find(|c: char| c.is_whitespace() || c == '|').unwrap_or(rest.len()),
        };
        let found = word(&rest[..end])?;
        if let Some(call) = calls.last_mut() {
            call.push(found);
        }
        rest = rest[end..].trim_start();
    }
    match calls.iter().any(Vec::is_empty) {
        true => Err(format!("{{{{{text}}}}} says nothing")),
        false => Ok(calls),
    }
}

fn word(text: &str) -> Result<Word, String> {
    let first = text.chars().next().unwrap_or_default();
    match (first, text) {
        ('"' | '`', _) => Ok(Word::Text(text[1..text.len() - 1].to_owned())),
        ('.', path) => {
            let names: Vec<String> = path[1..].split('.').map(str::to_owned).collect();
            let good =
                |name: &String| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
            match (path, names.iter().all(good)) {
                (".", _) => Ok(Word::Field(Vec::new())),
                (_, true) => Ok(Word::Field(names)),
                (_, false) => Err(format!("{path} is no field")),
            }
        }
        ('0'..='9', number) => number.parse().map(Word::Number).map_err(|_| format!("{number} is no number")),
        (_, "json") => Ok(Word::Function(Function::Json)),
        (_, "join") => Ok(Word::Function(Function::Join)),
        (_, "len") => Ok(Word::Function(Function::Len)),
        (_, "index") => Ok(Word::Function(Function::Index)),
        (_, "upper") => Ok(Word::Function(Function::Upper)),
        (_, "lower") => Ok(Word::Function(Function::Lower)),
        (_, other) => Err(format!(
            "{other} is not known; there are fields, json, join, len, index, upper, lower, if, range"
        )),
    }
}

fn fill(nodes: &[Node], dot: &Value, text: &mut String) -> Result<(), String> {
    for node in nodes {
        match node {
            Node::Text(one) => text.push_str(one),
            Node::Show(pipe) => text.push_str(&shown(&value(pipe, dot)?)),
            Node::If { condition, then, otherwise } => {
                let branch = if is_true(&value(condition, dot)?) { then } else { otherwise };
                fill(branch, dot, text)?;
            }
            Node::Range { over, each, none } => {
                let over = value(over, dot)?;
                let items: Vec<&Value> = match &over {
                    Value::Array(items) => items.iter().collect(),
                    Value::Object(fields) => fields.values().collect(),
                    Value::Null => Vec::new(),
                    other @ (Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                        return Err(format!("range over {other}, which is no list"));
                    }
                };
                if items.is_empty() {
                    fill(none, dot, text)?;
                }
                for item in items {
                    fill(each, item, text)?;
                }
            }
        }
    }
    Ok(())
}

fn value(pipe: &Pipe, dot: &Value) -> Result<Value, String> {
    let mut last = None;
    for call in pipe {
        let (function, words) = match call.split_first() {
            Some((Word::Function(function), words)) => (Some(*function), words),
            _ => (None, &call[..]),
        };
        let mut arguments = Vec::new();
        for word in words {
            arguments.push(match word {
                Word::Field(path) => field(dot, path)?,
                Word::Text(text) => Value::from(text.as_str()),
                Word::Number(number) => Value::from(*number),
                Word::Function(_) => return Err("a function within a call: use | instead".to_owned()),
            });
        }
        arguments.extend(last.take());
        last = Some(match (function, &arguments[..]) {
            (Some(function), arguments) => applied(function, arguments)?,
            (None, [one]) => one.clone(),
            (None, _) => return Err("a value has no arguments".to_owned()),
        });
    }
    Ok(last.unwrap_or_default())
}

fn applied(function: Function, arguments: &[Value]) -> Result<Value, String> {
    match (function, arguments) {
        (Function::Json, [one]) => Ok(one.to_string().into()),
        (Function::Len, [Value::Array(items)]) => Ok(items.len().into()),
        (Function::Len, [Value::Object(fields)]) => Ok(fields.len().into()),
        (Function::Len, [Value::String(text)]) => Ok(text.len().into()),
        (Function::Len, [Value::Null]) => Ok(0.into()),
        (Function::Upper, [Value::String(text)]) => Ok(text.to_uppercase().into()),
        (Function::Lower, [Value::String(text)]) => Ok(text.to_lowercase().into()),
        (Function::Join, [Value::Array(items), Value::String(between)]) => {
            Ok(items.iter().map(shown).collect::<Vec<_>>().join(between).into())
        }
        (Function::Join, [Value::Null, _]) => Ok("".into()),
        (Function::Index, [from, keys @ ..]) if !keys.is_empty() => {
            keys.iter().try_fold(from.clone(), |from, key| match (&from, key) {
                (Value::Object(fields), Value::String(key)) => {
                    Ok(fields.get(key).cloned().unwrap_or_else(|| "".into()))
                }
                (Value::Array(items), Value::Number(at)) => {
                    let at = at.as_u64().and_then(|at| usize::try_from(at).ok());
                    let found = at.and_then(|at| items.get(at)).cloned();
                    found.ok_or_else(|| format!("index {key} is beyond a list of {}", items.len()))
                }
                (Value::Null, _) => Ok("".into()),
                (other, key) => Err(format!("index {key} of {other}")),
            })
        }
        (function, _) => {
            Err(format!("{} does not take these arguments", format!("{function:?}").to_lowercase()))
        }
    }
}

/// A field below a value. Names are Go's or JSON's: case and underscores do not matter.
fn field(dot: &Value, path: &[String]) -> Result<Value, String> {
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let mut at = dot;
    for name in path {
        let Value::Object(fields) = at else { return Err(format!("there is no field {name} of {at}")) };
        let alike = || fields.iter().find(|(key, _)| plain(key) == plain(name)).map(|(_, value)| value);
        let known = || fields.keys().cloned().collect::<Vec<_>>().join(", ");
        at = fields
            .get(name)
            .or_else(alike)
            .ok_or_else(|| format!("there is no field {name}; there are {}", known()))?;
    }
    Ok(at.clone())
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(one) => *one,
        Value::Number(one) => one.as_f64() != Some(0.0),
        Value::String(one) => !one.is_empty(),
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
    }
}

/// As Go prints it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(all) => format!("[{}]", all.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(all) => {
            let mut pairs: Vec<String> =
                all.iter().map(|(key, value)| format!("{key}:{}", shown(value))).collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_say_what_go_s_would() {
        let dot = json!({
            "Name": "a/b", "Layers": ["x", "y"], "Labels": {"k": "v", "a": "b"}, "Size": 3, "Nothing": null,
            "Image": {"rootfs": {"diff_ids": ["d"]}, "config": {"Env": ["A=1", "B=2"]}},
            "LayersData": [{"Digest": "x", "Size": 1}, {"Digest": "y", "Size": 2}],
        });
        for (template, expected) in [
            ("Name: {{.Name}} \\t{{ .Size }}", "Name: a/b \t3"),
            ("{{.Layers}} {{.Labels}} {{.Nothing}}", "[x y] map[a:b k:v] <nil>"),
            ("{{json .Labels}}{{.Layers | json}}", r#"{"k":"v","a":"b"}["x","y"]"#),
            ("{{index .Labels \"k\"}}{{index .Labels \"no\"}}{{index .Layers 1}}", "vy"),
            ("{{range .LayersData}}{{.Digest}}={{.Size}}\\n{{end}}", "x=1\ny=2\n"),
            ("{{if .Nothing}}yes{{else}}no{{end}}{{if .Layers}}yes{{end}}", "noyes"),
            ("{{range .Nothing}}x{{else}}none{{end}}", "none"),
            ("{{join .Layers \", \"}} {{len .Layers}} {{upper .Name}}", "x, y 2 A/B"),
            ("a  {{- .Size -}}  b{{/* not shown */}}", "a3b"),
            ("{{.Image.RootFS.DiffIDs}} {{.Image.Config.Env}}", "[d] [A=1 B=2]"),
            ("{{range .Image.Config.Env}}{{println}}{{end}}", "!println is not known"),
            ("{{.Nam}}", "!there is no field Nam; there are"),
            ("{{.Name.x}}", "!there is no field x"),
            ("{{index .Layers 7}}", "!beyond a list of 2"),
            ("{{range .Name}}{{end}}", "!no list"),
            ("{{if .Name}}", "!without {{end}}"),
            ("{{end}}", "!{{end}} without"),
            ("{{.Name", "!{{ without }}"),
            ("{{}}", "!says nothing"),
            ("{{$x := .Name}}", "!$x is not known"),
            ("{{index .Labels \"k}}", "!a text without"),
            ("table {{.Name}}", "!tables"),
        ] {
            let found = Template::parse(template).and_then(|template| template.fill(&dot));
            match expected.strip_prefix('!') {
                None => assert_eq!(found.as_deref(), Ok(expected), "{template}"),
                Some(part) => {
                    let error = found.expect_err(template);
                    assert!(error.contains(part), "{template}: {error}");
                }
            }
        }
    }

    #[test]
    fn fields_of_the_top_are_known_beforehand() {
        let names = |text| Template::parse(text).is_ok_and(|template| template.names("RepoTags"));
        assert!(names("{{if .Name}}{{range .RepoTags}}{{.}}{{end}}{{end}}") && names("{{json .RepoTags}}"));
        assert!(!names("{{.Name}} RepoTags"));
    }
}
