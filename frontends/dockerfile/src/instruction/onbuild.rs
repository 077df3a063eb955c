//! `ONBUILD`.

use graph::Diagnostic;

use super::parse::typed;
use super::{Keyword, OnBuild, simple};
use crate::syntax::{Operands, Statement};

pub(super) fn parse(statement: &Statement) -> Result<OnBuild, Diagnostic> {
    super::flags::Flags::read(statement, &[])?;
    let Operands::Inner(inner) = &statement.operands else {
        return Err(simple::at_least_one(statement, Keyword::OnBuild));
    };
    refuse(inner)?;
    let mut trigger = inner.original.clone();
    for heredoc in &inner.heredocs {
        trigger.push('\n');
        trigger.push_str(&heredoc.content);
        trigger.push_str(&heredoc.name);
    }
    Ok(OnBuild { trigger, inner: typed(inner).map(Box::new) })
}

/// Refuses what cannot be a trigger.
pub(super) fn refuse(inner: &Statement) -> Result<(), Diagnostic> {
    let message = match inner.instruction {
        Some(Keyword::OnBuild) => "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned(),
        Some(keyword @ (Keyword::From | Keyword::Maintainer)) => {
            format!("{keyword} isn't allowed as an ONBUILD trigger")
        }
        _ => return Ok(()),
    };
    Err(Diagnostic::error(message, inner.keyword.span))
}
