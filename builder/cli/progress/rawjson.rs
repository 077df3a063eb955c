//! One JSON object a line, in the shape of BuildKit's status records.

use std::collections::HashMap;
use std::io::{self, Write};

use builder::event::{Ending, Event, StepId, Stream};
use serde_json::{Value, json};

/// The drawer.
pub struct RawJson<W> {
    out: W,
    steps: HashMap<StepId, Step>,
}

#[derive(Default)]
struct Step {
    title: String,
    started: Option<String>,
}

impl<W: Write> RawJson<W> {
    pub fn new(out: W) -> Self {
        Self { out, steps: HashMap::new() }
    }

    pub fn draw(&mut self, event: &Event) -> io::Result<()> {
        let now = jiff::Timestamp::now().to_string();
        let record = self.record(event, &now);
        if record.is_null() {
            return Ok(());
        }
        serde_json::to_writer(&mut self.out, &record)?;
        writeln!(self.out)
    }

    fn record(&mut self, event: &Event, now: &str) -> Value {
        match event {
            Event::Planned { step, title, span: _ } => {
                self.steps.entry(*step).or_default().title.clone_from(title);
                json!({"vertexes": [self.vertex(*step)]})
            }
            Event::Started { step } => {
                self.steps.entry(*step).or_default().started = Some(now.to_owned());
                json!({"vertexes": [self.vertex(*step)]})
            }
            Event::Log { step, stream, bytes } => {
                let stream = match stream {
                    Stream::Stdout => 1,
                    Stream::Stderr => 2,
                };
                let text = String::from_utf8_lossy(bytes);
                json!({"logs": [{"vertex": name(*step), "stream": stream, "text": text, "timestamp": now}]})
            }
            Event::Transfer { step, name: id, done, total } => json!({"statuses": [{
                "id": id, "vertex": name(*step), "current": done, "total": total, "timestamp": now,
            }]}),
            Event::Finished { step, ending, took } => {
                let mut vertex = self.vertex(*step);
                vertex["completed"] = now.into();
                vertex["durationMillis"] = json!(took.as_millis() as u64);
                match ending {
                    Ending::Done => {}
                    Ending::Cached => vertex["cached"] = true.into(),
                    Ending::Failed(why) => vertex["error"] = why.as_str().into(),
                    Ending::Cancelled => vertex["canceled"] = true.into(),
                }
                json!({"vertexes": [vertex]})
            }
            Event::Missed { step, why } => json!({"statuses": [{
                "id": format!("not in the cache: {why}"), "vertex": name(*step),
                "current": 0, "total": 0, "timestamp": now, "started": now, "completed": now,
            }]}),
            // BuildKit has no such record.
            Event::Beat => Value::Null,
            Event::Diagnostic(diagnostic) => json!({"warnings": [{
                "rule": diagnostic.rule, "short": diagnostic.message,
                "span": diagnostic.span.map(|span| [span.start, span.end]),
            }]}),
            Event::Warning(text) => json!({"warnings": [{"short": text}]}),
        }
    }

    fn vertex(&self, step: StepId) -> Value {
        let known = self.steps.get(&step);
        json!({
            "digest": name(step),
            "name": known.map(|step| step.title.as_str()).unwrap_or_default(),
            "started": known.and_then(|step| step.started.as_deref()),
        })
    }
}

fn name(step: StepId) -> String {
    format!("step:{}", step.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_one_line_of_json() {
        let mut json = RawJson::new(Vec::new());
        let step = StepId(3);
        let events = [
            Event::Planned { step, title: "t".to_owned(), span: None },
            Event::Started { step },
            Event::Log { step, stream: Stream::Stderr, bytes: "a\nb".into() },
            Event::Finished { step, ending: Ending::Cached, took: std::time::Duration::ZERO },
            Event::Warning("w".to_owned()),
        ];
        for event in &events {
            json.draw(event).unwrap();
        }
        let text = String::from_utf8(json.out).unwrap();
        let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records.len(), events.len());
        assert_eq!(records[0]["vertexes"][0]["name"], "t");
        assert_eq!(records[2]["logs"][0]["text"], "a\nb");
        assert_eq!(records[3]["vertexes"][0]["cached"], true);
    }
}
