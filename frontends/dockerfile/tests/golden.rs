//! Configs and histories against what BuildKit made of the conformance cases, without building
//! anything. Runs where `../shared/conformance` exists.

mod golden {
    pub mod case;
    pub mod images;
}
mod suite;

use dockerfile::lower;
use golden::case::Case;
use golden::images::Images;
use graph::{Diagnostic, Known, Lowered, Need, Step, Target};
use serde_json::{Value, json};

const SUITES: [&str; 4] = ["buildkit", "buildah", "imagebuilder", "podman"];

#[test]
#[allow(clippy::print_stderr)]
fn configs_and_histories() {
    let Some(root) = suite::conformance() else { return };
    let images = Images::load(&root);
    let (mut equal, mut wrong) = (0, Vec::new());
    for suite in SUITES {
        for case in Case::all(&root, suite) {
            match compare(&case, &images) {
                Ok(()) => equal += 1,
                Err(difference) => wrong.push(format!("{}: {difference}", case.name)),
            }
        }
    }
    eprintln!("{equal} of {} equal", equal + wrong.len());
    assert!(wrong.len() <= ALLOWED, "{}", wrong.join("\n"));
}

/// Cases that need what is not built yet.
const ALLOWED: usize = 1;

fn compare(case: &Case, images: &Images) -> Result<(), String> {
    let lowered = match (answer(case, images), case.expected()) {
        (Err(_), None) => return Ok(()),
        (Ok(_), None) if case.failed_while_building() => return Ok(()),
        (Ok(_), None) => return Err(format!("not refused: {}", case.failure())),
        (Err(error), Some(_)) => return Err(format!("refused: {error}")),
        (Ok(lowered), Some(_)) => lowered,
    };
    let expected = case.expected().unwrap_or_default();
    if expected.len() != lowered.targets.len() {
        return Err(format!("{} images instead of {}", lowered.targets.len(), expected.len()));
    }
    for (target, expected) in lowered.targets.iter().zip(&expected) {
        let server = format!("http://127.0.0.1:5056/{}/", case.name);
        let theirs = told(expected).to_string().replace(&server, "http://diff-http.test/");
        let own = shown(target).to_string();
        if own != theirs {
            return Err(format!("\n  rbuild   {own}\n  BuildKit {theirs}"));
        }
    }
    Ok(())
}

/// Lowers a case, answering what is asked.
fn answer(case: &Case, images: &Images) -> Result<Box<Lowered>, String> {
    answer_all(case, images)
        .map_err(|found| found.iter().map(|one| one.message.as_str()).collect::<Vec<_>>().join("; "))
}

fn answer_all(case: &Case, images: &Images) -> Result<Box<Lowered>, Vec<Diagnostic>> {
    let options = case.options();
    let mut known = Known::default();
    for _ in 0..20 {
        let needs = match lower(&options, &known) {
            Ok(Step::Done(lowered)) => return Ok(lowered),
            Ok(Step::Need(needs)) => needs,
            Err(found) => return Err(found),
        };
        for (need, _) in needs {
            match need {
                Need::File(context, path) => {
                    let content = case.file(&context, &path);
                    known.files.insert((context, path), content);
                }
                Need::Image(reference, platform) => {
                    let facts = images
                        .facts(&reference, &platform)
                        .ok_or_else(|| vec![Diagnostic::error(format!("no image {reference}"), None)])?;
                    known.images.insert((reference, platform), facts);
                }
                Need::Time(source) => drop(known.times.insert(source, None)),
                Need::GitRef(url, reference) => {
                    known.git.insert((url, reference), "0".repeat(40));
                }
            }
        }
    }
    Err(vec![Diagnostic::error("asked for ever", None)])
}

const CONFIG_KEYS: [&str; 13] = [
    "Env",
    "Cmd",
    "Entrypoint",
    "WorkingDir",
    "User",
    "Labels",
    "ExposedPorts",
    "Volumes",
    "StopSignal",
    "Healthcheck",
    "Shell",
    "OnBuild",
    "ArgsEscaped",
];

fn shown(target: &Target) -> Value {
    let config = serde_json::to_value(&target.config).expect("a config is JSON");
    told(&json!({ "config": config, "history": config["history"] }))
}

/// What of an image is compared.
fn told(image: &Value) -> Value {
    let config = &image["config"];
    let run: Vec<(&str, Value)> = CONFIG_KEYS
        .into_iter()
        .filter_map(|key| Some((key, config["config"].get(key)?.clone())))
        .filter(|(_, value)| value.as_object().is_none_or(|map| !map.is_empty()))
        .collect();
    let history: Vec<Value> = image["history"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| json!([entry["created_by"], entry["empty_layer"] == true, entry["comment"]]))
        .collect();
    let run: serde_json::Map<String, Value> =
        run.into_iter().map(|(key, value)| (key.to_owned(), sorted(value))).collect();
    json!({
        "platform": [config["os"], config["architecture"], config["variant"]],
        "author": config["author"],
        "config": run,
        "history": history,
    })
}

/// Maps by key, so that their order does not count.
fn sorted(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let mut pairs: Vec<(String, Value)> = map.into_iter().collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs.into_iter().collect()
}

/// The facts in an expected message: its words that are the user's own, and names that it suggests.
fn facts<'a>(expected: &'a str, written: &str) -> Vec<&'a str> {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let suggested = expected.split_once("did you mean ").map(|(_, name)| name.trim_end_matches(['?', ')']));
    let words = expected.split(|c: char| !name(c)).filter(|word| word.len() > 1);
    let own = |word: &&str| written.split(|c: char| !name(c)).any(|written| written == *word);
    words.filter(own).chain(suggested).collect()
}

#[test]
fn refusals_carry_the_facts_that_are_expected_of_them() {
    let Some(root) = suite::conformance() else { return };
    let images = Images::load(&root);
    let (mut count, mut wrong) = (0, Vec::new());
    for case in SUITES.iter().flat_map(|suite| Case::all(&root, suite)) {
        let (expected, written) = (case.expected_error(), case.written());
        if expected.is_empty() || case.failed_while_building() {
            continue;
        }
        count += 1;
        match answer_all(&case, &images) {
            Ok(_) => wrong.push(format!("{}: not refused", case.name)),
            Err(found) => {
                let said =
                    |one: &Diagnostic| one.message.clone() + "; " + one.help.as_deref().unwrap_or_default();
                let said = found.iter().map(said).collect::<String>();
                let missing = expected.iter().flat_map(|text| facts(text, &written));
                let missing: Vec<&str> = missing.filter(|fact| !said.contains(fact)).collect();
                if !missing.is_empty() {
                    wrong.push(format!("{}: {missing:?} not in {said:?}", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 8, "{count} cases");
}

/// A remark: rule, message, line, page, and level (BuildKit has one for all of them).
type Remark = (String, String, u64, String, u64);

fn recorded(case: &Case) -> Vec<Remark> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let remark = |one: &Value| {
        let (rule, detail) = (text(&one["RuleName"]), text(&one["Detail"]));
        let known = dockerfile::rule(&rule).map(|rule| rule.description);
        assert_eq!(known, one["Description"].as_str(), "{}: {rule}", case.name);
        (rule, detail, number(&one["Line"]), text(&one["URL"]), number(&one["Level"]))
    };
    case.lint().iter().map(remark).collect()
}

fn remarked(case: &Case, images: &Images) -> Vec<Remark> {
    let found = match answer_all(case, images) {
        Ok(lowered) => lowered.warnings,
        Err(found) => found,
    };
    let text = case.text();
    let remark = |one: &Diagnostic| {
        let line = one.span.map_or(0, |span| text[..span.start].matches('\n').count() as u64 + 1);
        let rule = dockerfile::rule(one.rule?).expect("a rule of the catalogue");
        let level = u64::from(one.severity == graph::Severity::Warning);
        Some((rule.name.to_owned(), one.message.clone(), line, rule.url().unwrap_or_default(), level))
    };
    found.iter().filter_map(remark).collect()
}

#[test]
fn remarks_are_those_that_the_cases_record() {
    let Some(root) = suite::conformance() else { return };
    let images = Images::load(&root);
    let (mut count, mut wrong) = (0, Vec::new());
    for case in SUITES.iter().flat_map(|suite| Case::all(&root, suite)) {
        let mut expected = recorded(&case);
        if expected.is_empty() {
            continue;
        }
        count += expected.len();
        let mut found = remarked(&case, &images);
        expected.sort();
        found.sort();
        if found != expected {
            wrong.push(format!("{}: {found:#?}, not {expected:#?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 40, "{count} remarks");
}
