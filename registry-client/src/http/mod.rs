//! Requests: connections, redirects, retries and what answers say.

pub(crate) mod answer;
pub(crate) mod call;
pub(crate) mod retry;
mod tls;
pub(crate) mod transport;
