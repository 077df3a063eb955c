//! A build as a timeline: the trace-event form that Perfetto and browsers open; and its critical path.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Build, Input, State, Step};

/// The trace of a build: one row for each step that took time, microseconds since the build began.
pub fn trace(build: &Build) -> Value {
    let name = |row: usize, name: &str| {
        json!({
            "name": "thread_name", "ph": "M", "pid": 1, "tid": row, "args": {"name": name},
        })
    };
    let mut rows: Vec<u64> = Vec::new();
    let mut events = vec![json!({
        "name": "process_name", "ph": "M", "pid": 1, "args": {"name": build.asked.subject.join(" ")},
    })];
    for step in build.steps.iter().filter(|step| took_time(step)) {
        let end = step.began + step.millis;
        // Steps that overlap stand below one another.
        let row = rows.iter().position(|free| *free <= step.began).unwrap_or(rows.len());
        match rows.get_mut(row) {
            Some(free) => *free = end,
            None => {
                rows.push(end);
                events.push(name(row + 1, &format!("steps {}", row + 1)));
            }
        }
        events.push(json!({
            "name": step.title, "cat": "step", "ph": "X", "pid": 1, "tid": row + 1,
            "ts": step.began * 1000, "dur": step.millis * 1000,
            "args": {
                "state": step.state.word(), "logBytes": step.log_bytes,
                "transferredBytes": step.transferred, "why": step.why,
            },
        }));
    }
    json!({"traceEvents": events, "displayTimeUnit": "ms"})
}

fn took_time(step: &Step) -> bool {
    matches!(step.state, State::Ran | State::Failed | State::Cancelled)
}

/// The chain of steps that the build waited for: milliseconds in all, and the steps in order.
pub fn critical_path(build: &Build) -> (u64, Vec<&Step>) {
    let mut ends: BTreeMap<u32, (u64, Option<u32>)> = BTreeMap::new();
    for step in &build.steps {
        let Some(parts) = &step.parts else { continue };
        let own = if took_time(step) { step.millis } else { 0 };
        let longest = parts
            .inputs
            .iter()
            .filter_map(|input| match input {
                Input::Step(id) => Some((ends.get(id)?.0, *id)),
                Input::Empty | Input::Local { .. } => None,
            })
            .max();
        ends.insert(step.id, (own + longest.map_or(0, |(before, _)| before), longest.map(|(_, id)| id)));
    }
    let Some((&last, &(total, _))) = ends.iter().max_by_key(|(_, (end, _))| *end) else {
        return (0, Vec::new());
    };
    let (mut path, mut at) = (Vec::new(), Some(last));
    while let Some(id) = at {
        path.extend(build.step(id).filter(|step| took_time(step) && step.millis > 0));
        at = ends.get(&id).and_then(|(_, before)| *before);
    }
    path.reverse();
    (total, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Asked, Parts};

    fn step(id: u32, began: u64, millis: u64, inputs: &[u32]) -> Step {
        let inputs = inputs.iter().map(|id| Input::Step(*id)).collect();
        let parts = Some(Parts { inputs, ..Parts::default() });
        Step { id, title: format!("s{id}"), began, millis, state: State::Ran, parts, ..Step::default() }
    }

    fn build() -> Build {
        Build {
            id: String::new(),
            asked: Asked::default(),
            text: None,
            began: 0,
            millis: 60,
            failure: None,
            steps: vec![
                step(0, 0, 10, &[]),
                step(1, 10, 30, &[0]),
                step(2, 10, 5, &[0]),
                step(3, 40, 20, &[1, 2]),
            ],
        }
    }

    #[test]
    fn the_critical_path_is_the_longest_chain() {
        let build = build();
        let (total, path) = critical_path(&build);
        assert_eq!(total, 60);
        assert_eq!(path.iter().map(|step| step.id).collect::<Vec<_>>(), [0, 1, 3]);
    }

    #[test]
    fn steps_of_one_row_never_overlap() {
        let value = trace(&build());
        let rows: Vec<(u64, u64)> = value["traceEvents"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|event| event["ph"] == "X")
            .map(|event| (event["tid"].as_u64().unwrap_or(0), event["ts"].as_u64().unwrap_or(0)))
            .collect();
        assert_eq!(rows, [(1, 0), (1, 10_000), (2, 10_000), (1, 40_000)]);
    }
}
