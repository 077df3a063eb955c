//! How the binary fails: an exit code and a text for people.

use std::error::Error;
use std::fmt;

use builder::error::Category;

/// A failure, ready to be shown.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What is printed, lines ended.
    pub text: String,
}

impl Failure {
    /// A failure of some category with one line.
    pub fn new(category: Category, message: impl fmt::Display) -> Self {
        Self { code: category.exit_code(), text: format!("error: {message}\n") }
    }

    /// The command line is wrong.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Category::Usage, message)
    }

    /// An error with its causes.
    pub fn from_error(category: Category, error: &(dyn Error + 'static)) -> Self {
        Self { code: category.exit_code(), text: crate::report::failure(error) }
    }

    /// The same with another exit code.
    #[must_use]
    pub fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }
}
