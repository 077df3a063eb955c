//! The parts a key was made of, by name, for `explain`.

use graph::Op;
use layer_store::Component;
use serde_json::Value;

use super::Named;

/// Names and values of everything that went into a definition key.
///
/// Fields of the op are named by their path in its document (`Exec.args.0`,
/// `Exec.env.PATH`); inputs by their position.
pub(crate) fn components(op: &Op, inputs: &[Named]) -> Vec<Component> {
    let mut all = Vec::new();
    flatten(String::new(), &op.document(), &mut all);
    for (position, input) in inputs.iter().enumerate() {
        match input {
            Named::Empty => all.push(component(format!("input.{position}"), "empty".to_owned())),
            Named::Step(key, output) => {
                all.push(component(format!("input.{position}"), format!("{key}:{output}")))
            }
            Named::Local(read) => all.extend(read.iter().map(|(reading, digest)| {
                component(
                    format!("input.{position}.{}", reading.name()),
                    blake3::Hash::from(*digest).to_hex().to_string(),
                )
            })),
        }
    }
    all
}

fn component(name: String, value: String) -> Component {
    Component { name, value }
}

fn flatten(name: String, value: &Value, all: &mut Vec<Component>) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(below(key), value, all)),
        Value::Array(items) if items.iter().all(Value::is_number) => {
            all.push(component(name, numbers(items)))
        }
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                match variable(item) {
                    Some((key, value)) => all.push(component(below(key), value.to_owned())),
                    None => flatten(below(&position.to_string()), item, all),
                }
            }
        }
        Value::String(text) => all.push(component(name, text.clone())),
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => all.push(component(name, value.to_string())),
    }
}

/// A pair of texts is a variable with its value.
fn variable(item: &Value) -> Option<(&str, &str)> {
    match item.as_array().map(Vec::as_slice) {
        Some([Value::String(key), Value::String(value)]) => Some((key, value)),
        Some(_) | None => None,
    }
}

/// A few numbers as they are, many (the content of a file) as a digest.
fn numbers(items: &[Value]) -> String {
    let text = items.iter().map(Value::to_string).collect::<Vec<_>>().join(",");
    if items.len() <= 4 { text } else { blake3::hash(text.as_bytes()).to_hex().to_string() }
}
