//! One JSON object a line, in the form of BuildKit's status records, so that what reads those reads these.
//!
//! Bytes (of logs and remarks) are base64, and there is no key that BuildKit does not know.

use std::collections::HashMap;
use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use builder::event::{Ending, Event, StepId, Stream};
use serde_json::{Value, json};

use crate::remark::{self, vertex as name};
use crate::report::BuildFile;

/// The drawer.
pub struct RawJson<W> {
    out: W,
    steps: HashMap<StepId, Step>,
    first: Option<StepId>,
    file: BuildFile,
}

#[derive(Default)]
struct Step {
    title: String,
    inputs: Vec<StepId>,
    started: Option<String>,
    /// When each transfer began.
    transfers: HashMap<String, String>,
}

impl<W: Write> RawJson<W> {
    pub fn new(out: W) -> Self {
        Self { out, steps: HashMap::new(), first: None, file: BuildFile::default() }
    }

    pub fn draw(&mut self, event: &Event) -> io::Result<()> {
        let now = jiff::Timestamp::now().to_string();
        let Some(record) = self.record(event, &now) else { return Ok(()) };
        serde_json::to_writer(&mut self.out, &record)?;
        writeln!(self.out)
    }

    /// `None`: BuildKit has no such record.
    fn record(&mut self, event: &Event, now: &str) -> Option<Value> {
        Some(match event {
            Event::Planned { step, title, span: _, inputs } => {
                self.first.get_or_insert(*step);
                let known = self.steps.entry(*step).or_default();
                known.title.clone_from(title);
                known.inputs.clone_from(inputs);
                json!({"vertexes": [self.vertex(*step)]})
            }
            Event::Started { step } => {
                self.begun(*step, now);
                json!({"vertexes": [self.vertex(*step)]})
            }
            Event::Log { step, stream, bytes } => {
                let stream = match stream {
                    Stream::Stdout => 1,
                    Stream::Stderr => 2,
                };
                let data = STANDARD.encode(bytes);
                json!({"logs": [{"vertex": name(*step), "stream": stream, "data": data, "timestamp": now}]})
            }
            Event::Transfer { step, name: id, done, total } => {
                let transfers = &mut self.steps.entry(*step).or_default().transfers;
                let started = transfers.entry(id.clone()).or_insert_with(|| now.to_owned());
                let mut status = json!({
                    "id": id, "vertex": name(*step), "current": done, "timestamp": now, "started": started,
                });
                if let Some(total) = total {
                    status["total"] = json!(total);
                }
                if *total == Some(*done) {
                    status["completed"] = now.into();
                }
                json!({"statuses": [status]})
            }
            Event::Finished { step, ending, took: _ } => {
                let began = self.steps.get(step).is_some_and(|step| step.started.is_some());
                if *ending == Ending::Cancelled && !began {
                    return None;
                }
                self.begun(*step, now);
                let mut vertex = self.vertex(*step);
                vertex["completed"] = now.into();
                match ending {
                    Ending::Done => {}
                    Ending::Cached => vertex["cached"] = true.into(),
                    Ending::Failed(why) => vertex["error"] = why.as_str().into(),
                    // What BuildKit's readers look for.
                    Ending::Cancelled => vertex["error"] = "context canceled".into(),
                }
                json!({"vertexes": [vertex]})
            }
            Event::Missed { step, why } => json!({"statuses": [{
                "id": format!("not in the cache: {why}"), "vertex": name(*step),
                "current": 0, "timestamp": now, "started": now, "completed": now,
            }]}),
            Event::Beat => return None,
            Event::BuildFile { name, text } => {
                self.file = BuildFile { name: name.clone(), text: Some(text.clone()) };
                return None;
            }
            Event::Diagnostic(diagnostic) => {
                json!({"warnings": [remark::about_text(self.first, diagnostic, &self.file)]})
            }
            Event::Warning(text) => json!({"warnings": [remark::about_world(self.first, text)]}),
        })
    }

    fn begun(&mut self, step: StepId, now: &str) {
        self.steps.entry(step).or_default().started.get_or_insert_with(|| now.to_owned());
    }

    fn vertex(&self, step: StepId) -> Value {
        let mut vertex = json!({"digest": name(step)});
        if let Some(known) = self.steps.get(&step) {
            vertex["name"] = known.title.as_str().into();
            if !known.inputs.is_empty() {
                vertex["inputs"] = known.inputs.iter().map(|input| name(*input)).collect();
            }
            if let Some(started) = &known.started {
                vertex["started"] = started.as_str().into();
            }
        }
        vertex
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(events: &[Event]) -> Vec<Value> {
        let mut json = RawJson::new(Vec::new());
        for event in events {
            json.draw(event).unwrap();
        }
        let text = String::from_utf8(json.out).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn finished(step: u32, ending: Ending) -> Event {
        Event::Finished { step: StepId(step), ending, took: std::time::Duration::ZERO }
    }

    fn planned(step: u32, title: &str, inputs: &[u32]) -> Event {
        let inputs = inputs.iter().map(|input| StepId(*input)).collect();
        Event::Planned { step: StepId(step), title: title.to_owned(), span: None, inputs }
    }

    #[test]
    fn records_have_the_keys_that_buildkit_has_and_no_others() {
        let step = StepId(3);
        let transfer = |done| Event::Transfer { step, name: "blob".to_owned(), done, total: Some(2) };
        let records = drawn(&[
            planned(2, "first", &[]),
            planned(3, "t", &[2]),
            Event::Started { step },
            Event::Log { step, stream: Stream::Stderr, bytes: b"a\xff\nb"[..].into() },
            transfer(1),
            transfer(2),
            Event::Beat,
            Event::BuildFile { name: "Dockerfile".to_owned(), text: "FROM a\n".to_owned() },
            finished(3, Ending::Done),
            Event::Warning("w".to_owned()),
        ]);
        let known: &[(&str, &[&str])] = &[
            ("vertexes", &["digest", "inputs", "name", "started", "completed", "cached", "error"]),
            ("statuses", &["id", "vertex", "name", "total", "current", "timestamp", "started", "completed"]),
            ("logs", &["vertex", "stream", "data", "timestamp"]),
            ("warnings", &["vertex", "level", "short", "detail", "url", "sourceInfo", "range"]),
        ];
        for (kind, all) in records.iter().flat_map(|record| record.as_object().unwrap()) {
            let keys = known.iter().find(|one| one.0 == kind).expect("a known kind").1;
            for one in all.as_array().unwrap() {
                let unknown: Vec<_> =
                    one.as_object().unwrap().keys().filter(|key| !keys.contains(&key.as_str())).collect();
                assert!(unknown.is_empty(), "{kind}: {unknown:?}");
            }
        }
        assert_eq!(records.len(), 8);
        assert_eq!(records[1]["vertexes"][0]["inputs"][0], records[0]["vertexes"][0]["digest"]);
        assert_eq!(records[3]["logs"][0]["data"], "Yf8KYg==");
        assert!(records[4]["statuses"][0]["completed"].is_null());
        assert!(records[5]["statuses"][0]["completed"].is_string());
        assert_eq!(records[5]["statuses"][0]["started"], records[4]["statuses"][0]["started"]);
        assert_eq!(records[7]["warnings"][0]["vertex"], records[0]["vertexes"][0]["digest"]);
        assert_eq!(records[7]["warnings"][0]["short"], "dw==");
    }

    #[test]
    fn endings() {
        for (ending, key, value) in [
            (Ending::Cached, "cached", json!(true)),
            (Ending::Failed("exit code: 3".to_owned()), "error", json!("exit code: 3")),
            (Ending::Cancelled, "error", json!("context canceled")),
        ] {
            let records = drawn(&[Event::Started { step: StepId(1) }, finished(1, ending)]);
            let vertex = &records[1]["vertexes"][0];
            assert_eq!(vertex[key], value);
            assert!(vertex["started"].is_string() && vertex["completed"].is_string());
        }
        let cached = drawn(&[planned(1, "t", &[]), finished(1, Ending::Cached)]);
        assert!(cached[1]["vertexes"][0]["started"].is_string(), "readers show only what began");
        assert_eq!(drawn(&[planned(1, "t", &[]), finished(1, Ending::Cancelled)]).len(), 1);
    }
}
