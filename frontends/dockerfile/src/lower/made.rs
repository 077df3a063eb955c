//! The history of an image while it is made. What a `RUN` says there begins with the arguments in scope, which grow
//! with the file, so such a line is written once it is asked for.

use std::sync::Arc;

use graph::Environment;
use oci::History;

const COMMENT: &str = "buildkit.dockerfile.v0";

/// Lines in order; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made(Vec<Arc<Line>>);

#[derive(Debug)]
struct Line {
    text: Text,
    empty_layer: bool,
}

/// What a line says.
#[derive(Debug)]
pub(crate) enum Text {
    Plain(String),
    /// `RUN |1 A=b COMMAND # buildkit`.
    Run {
        arguments: Environment,
        command: String,
    },
}

impl Made {
    /// Adds a line.
    pub(crate) fn push(&mut self, text: Text, empty_layer: bool) {
        self.0.push(Arc::new(Line { text, empty_layer }));
    }

    /// As entries of an image config with this time.
    pub(crate) fn entries(&self, created: Option<String>) -> impl Iterator<Item = History> {
        self.0.iter().map(move |line| History {
            created: created.clone(),
            created_by: Some(line.text.written()),
            author: None,
            comment: Some(COMMENT.to_owned()),
            empty_layer: line.empty_layer,
        })
    }
}

impl Text {
    fn written(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Run { arguments, command } if arguments.is_empty() => format!("RUN {command} # buildkit"),
            Self::Run { arguments, command } => {
                let mut line = format!("RUN |{} ", arguments.len());
                for (name, value) in arguments.iter() {
                    line.extend([name, "=", value, " "]);
                }
                line + command + " # buildkit"
            }
        }
    }
}
