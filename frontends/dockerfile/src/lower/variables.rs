//! Which variables each stage has at its end, and where their values come from.

use std::collections::{BTreeMap, HashMap};

use graph::Span;

use super::env::Env;
use crate::instruction::{ArgDecl, Instruction, InstructionKind};
use crate::survey::{StageVariables, Variable, VariableOrigin};

/// What was set, in the order in which it was.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    globals: Vec<Variable>,
    stages: Vec<StageNotes>,
    /// Nothing is noted: nobody asks, or a further platform is lowered.
    closed: bool,
}

#[derive(Debug)]
struct StageNotes {
    index: usize,
    label: String,
    /// The stage that this one begins with.
    base: Option<usize>,
    set: Vec<Variable>,
}

impl Variables {
    /// For who does not ask for them.
    pub(crate) fn unnoted() -> Self {
        Self { closed: true, ..Self::default() }
    }

    /// Notes no more.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// The arguments before the first `FROM`.
    pub(crate) fn globals(
        &mut self,
        instructions: &[Instruction],
        values: &Env,
        given: &BTreeMap<String, String>,
    ) {
        if self.closed {
            return;
        }
        for instruction in instructions {
            let InstructionKind::Arg(declared) = &instruction.kind else { return };
            for ArgDecl { name, default } in declared {
                let name = name.value.clone();
                let origin = match (given.contains_key(&name), default) {
                    (true, _) => VariableOrigin::BuildArg,
                    (false, Some(_)) => VariableOrigin::Default,
                    (false, None) if values.get(&name).is_some() => VariableOrigin::Predefined,
                    (false, None) => VariableOrigin::Nowhere,
                };
                let value = values.get(&name).map(str::to_owned);
                self.globals.push(Variable { name, value, origin, span: Some(instruction.span) });
            }
        }
    }

    /// What follows is of this stage.
    pub(crate) fn stage(&mut self, index: usize, label: String, base: Option<usize>) {
        if !self.closed {
            self.stages.push(StageNotes { index, label, base, set: Vec::new() });
        }
    }

    /// A variable of the current stage.
    pub(crate) fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
        origin: VariableOrigin,
        span: Option<Span>,
    ) {
        if let Some(stage) = self.stages.last_mut().filter(|_| !self.closed) {
            let value = value.map(str::to_owned);
            stage.set.push(Variable { name: name.to_owned(), value, origin, span });
        }
    }

    /// All stages in the order of the file, with what they take over from the stage they are built upon.
    pub(crate) fn finish(mut self) -> Vec<StageVariables> {
        self.stages.sort_by_key(|stage| stage.index);
        let mut all = Vec::new();
        if !self.globals.is_empty() {
            all.push(StageVariables { stage: None, variables: last_of_each(&self.globals) });
        }
        for stage in &self.stages {
            let variables = last_of_each(self.along(stage));
            all.push(StageVariables { stage: Some(stage.label.clone()), variables });
        }
        all
    }

    /// What was set on the way to a stage's end. The stages are sorted.
    fn along<'a>(&'a self, stage: &'a StageNotes) -> Vec<&'a Variable> {
        let mut chain = vec![stage];
        while let Some(base) = chain.last().and_then(|stage| stage.base) {
            let Ok(place) = self.stages.binary_search_by_key(&base, |other| other.index) else { break };
            chain.push(&self.stages[place]);
        }
        chain.into_iter().rev().flat_map(|stage| &stage.set).collect()
    }
}

/// Each name once, with what was said last, where it was first named. An `ARG` without a value takes no
/// earlier value away.
fn last_of_each<'a>(set: impl IntoIterator<Item = &'a Variable>) -> Vec<Variable> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut all: Vec<Variable> = Vec::new();
    for variable in set {
        match places.get(variable.name.as_str()) {
            None => {
                places.insert(&variable.name, all.len());
                all.push(variable.clone());
            }
            Some(&place) if variable.value.is_some() => all[place] = variable.clone(),
            Some(_) => {}
        }
    }
    all
}
