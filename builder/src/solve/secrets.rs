//! Results that were made with another secret than the one that is given now.
//!
//! No key holds a secret, so such a result is used. That is said, since it surprises people.

use graph::Vertex;
use layer_store::{Component, Record};

use super::Solver;
use crate::event::Event;

/// How the parts of a record begin that mark secrets.
pub(crate) const SECRET: &str = "secret.";

/// The marks of secrets in a record.
pub(super) fn of_record(record: &Record) -> impl Iterator<Item = &Component> {
    record.components.iter().filter(|part| part.name.starts_with(SECRET))
}

/// Says which secrets of a step are others than those that its found result was made with.
pub(super) async fn mention(solver: &Solver<'_>, vertex: &Vertex, record: &Record) {
    if of_record(record).next().is_none() {
        return;
    }
    for now in solver.worker.secrets(&vertex.op).await {
        let before = of_record(record).find(|part| part.name == now.name);
        if before.is_some_and(|before| before.value != now.value) {
            let (title, id) = (&vertex.meta.title, now.name.trim_start_matches(SECRET));
            let text = format!(
                "{title}: the secret {id} is another one than when the cached result was made; secrets are in no \
                 key, and --no-cache-filter makes a stage run again"
            );
            solver.events.send(Event::Warning(text)).await;
        }
    }
}
