//! Something about this host that the user hears once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Session;
use crate::event::Event;

/// A remark about the host. Clones share whether it was made.
#[derive(Clone, Debug)]
pub struct Remark {
    text: String,
    said: Arc<AtomicBool>,
}

impl Remark {
    pub(super) fn new(text: String) -> Self {
        Self { text, said: Arc::default() }
    }

    /// Makes it, unless it was made. Blocks.
    pub(super) fn say(&self, session: &Session) {
        if !self.said.swap(true, Ordering::Relaxed) {
            session.events.send_blocking(Event::Warning(self.text.clone()));
        }
    }
}
