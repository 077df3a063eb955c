//! Requests: connections, redirects, retries and what answers say.

pub(crate) mod answer;
pub(crate) mod call;
mod names;
pub(crate) mod reach;
pub(crate) mod retry;
mod tls;
pub(crate) mod transport;
pub(crate) mod watch;
