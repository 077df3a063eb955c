//! How much a host still lets us ask: `RateLimit-…` as registries send them (an old draft of the IETF's
//! fields, Docker Hub's, and the `X-` spelling of others).

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;

/// A number of seconds that is longer is a time since 1970.
const LONGEST_WAIT: u64 = 366 * 24 * 3600;

/// What a host says of its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests that are allowed in a window.
    pub limit: Option<u64>,
    /// How long a window is.
    pub window: Option<Duration>,
    /// How many are left.
    pub remaining: Option<u64>,
    /// When there are more again.
    pub resets: Option<SystemTime>,
}

impl RateLimit {
    /// What the headers of an answer say; `None`: nothing.
    pub(crate) fn of(headers: &HeaderMap, now: SystemTime) -> Option<Self> {
        let field = |name: &str| {
            let value = headers.get(format!("ratelimit-{name}"));
            let value = value.or_else(|| headers.get(format!("x-ratelimit-{name}")));
            value.and_then(|value| value.to_str().ok()).map(str::trim)
        };
        let (limit, policy) = field("limit").map_or((None, None), counted);
        let (remaining, window) = field("remaining").map_or((None, None), counted);
        let resets = field("reset").and_then(|text| text.parse().ok()).and_then(|at| moment(at, now));
        let found = Self { limit, window: policy.or(window), remaining, resets };
        (found != Self::default()).then_some(found)
    }

    /// `100 in 6 h`, where a limit is told.
    pub fn allowed(&self) -> Option<String> {
        let limit = self.limit?;
        Some(self.window.map_or_else(|| limit.to_string(), |window| format!("{limit} in {}", span(window))))
    }

    /// When there are more again, as HTTP writes times, where that is told.
    pub fn reset_date(&self) -> Option<String> {
        self.resets.map(httpdate::fmt_http_date)
    }

    /// How long it is until there are more again, where that is told.
    pub(crate) fn wait(&self, now: SystemTime) -> Option<Duration> {
        self.resets.map(|at| at.duration_since(now).unwrap_or_default())
    }
}

/// A number, and the window of `;w=SECONDS` behind it. Of several limits in a row the first counts.
fn counted(text: &str) -> (Option<u64>, Option<Duration>) {
    let first = text.split(',').next().unwrap_or_default();
    let mut parts = first.split(';').map(str::trim);
    let number = parts.next().and_then(|number| number.parse().ok());
    let window = parts.find_map(|part| part.strip_prefix("w=")?.parse().ok()).map(Duration::from_secs);
    (number, window.filter(|_| number.is_some()))
}

/// Seconds from now, or since 1970.
fn moment(seconds: u64, now: SystemTime) -> Option<SystemTime> {
    let since = if seconds > LONGEST_WAIT { SystemTime::UNIX_EPOCH } else { now };
    since.checked_add(Duration::from_secs(seconds)).filter(|at| *at < now + Duration::from_secs(LONGEST_WAIT))
}

/// `100 in 6 h are allowed, 0 are left, until Thu, 26 Nov 2026 08:00:00 GMT`.
impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.allowed().map(|allowed| format!("{allowed} are allowed")));
        parts.extend(self.remaining.map(|left| format!("{left} are left")));
        parts.extend(self.reset_date().map(|date| format!("until {date}")));
        f.write_str(&parts.join(", "))
    }
}

/// In the largest unit that leaves no rest.
fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds > 0 && seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds > 0 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_words() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let reset = "Tue, 14 Nov 2023 22:14:20 GMT";
        for (headers, expected) in [
            (
                &[("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "0;w=21600")][..],
                "100 in 6 h are allowed, 0 are left".to_owned(),
            ),
            (&[("RateLimit-Reset", "60")], format!("until {reset}")),
            (
                &[("X-RateLimit-Limit", "180"), ("X-RateLimit-Reset", "1700000060")],
                format!("180 are allowed, until {reset}"),
            ),
            (&[("ratelimit-limit", "10, 10;w=1, 50;w=60")], "10 are allowed".to_owned()),
            (&[("ratelimit-limit", "5;comment=x;w=90")], "5 in 90 s are allowed".to_owned()),
            (&[("ratelimit-limit", "many"), ("ratelimit-reset", "soon")], String::new()),
            (&[("ratelimit-reset", "18446744073709551615")], String::new()),
            (&[("content-length", "5")], String::new()),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                let name: reqwest::header::HeaderName = name.parse().expect("a name");
                map.append(name, value.parse().expect("a value"));
            }
            let found = RateLimit::of(&map, now);
            assert_eq!(found.map(|found| found.to_string()).unwrap_or_default(), expected, "{headers:?}");
        }
    }
}
