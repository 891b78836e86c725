//! The rate limit, and the clock that it and the records go by.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::gateway::lock;

/// How long requests count, and how long a user who exceeds the limit is blocked.
const WINDOW: Duration = Duration::from_secs(300);

/// Real time, and how far it was moved.
#[derive(Debug, Default)]
pub(super) struct Clock(Mutex<Duration>);

impl Clock {
    pub(super) fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        now.checked_add(*lock(&self.0)).unwrap_or(now)
    }

    pub(super) fn advance(&self, by: Duration) {
        *lock(&self.0) += by;
    }
}

/// The time as the API writes it, with microseconds.
pub(super) fn written(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// How many requests each user has sent. <https://developers.cloudflare.com/fundamentals/api/reference/limits/>
#[derive(Debug)]
pub(super) struct Limiter {
    quota: u32,
    users: HashMap<String, Window>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends: Timestamp,
    used: u32,
    blocked: bool,
}

/// What a request is told about its user's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) total: u32,
    pub(super) left: u32,
    /// Seconds until it is whole again, rounded up.
    pub(super) resets: u64,
    pub(super) blocked: bool,
}

impl Limiter {
    pub(super) fn new(quota: u32) -> Limiter {
        Limiter { quota, users: HashMap::new() }
    }

    /// Counts a request.
    pub(super) fn count(&mut self, user: &str, now: Timestamp) -> Quota {
        let fresh = Window { ends: later(now), used: 0, blocked: false };
        let window = self.users.entry(user.to_owned()).or_insert(fresh);
        if now >= window.ends {
            *window = fresh;
        }
        if !window.blocked && window.used == self.quota {
            *window = Window { ends: later(now), used: self.quota, blocked: true };
        } else if !window.blocked {
            window.used += 1;
        }
        let left = window.ends.duration_since(now);
        let resets = u64::try_from(left.as_millis()).unwrap_or(0).div_ceil(1000);
        Quota { total: self.quota, left: self.quota - window.used, resets, blocked: window.blocked }
    }
}

fn later(now: Timestamp) -> Timestamp {
    now.checked_add(WINDOW).unwrap_or(now)
}

impl Quota {
    /// The headers of every answer, and `retry-after` of those that are refused.
    pub(super) fn headers(&self, headers: &mut HeaderMap) {
        let Quota { total, left, resets, blocked } = self;
        let mut set = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        set("ratelimit", format!("\"default\";r={left};t={resets}"));
        set("ratelimit-policy", format!("\"default\";q={total};w={}", WINDOW.as_secs()));
        if *blocked {
            set("retry-after", resets.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_exceeds_the_limit_is_blocked_for_five_minutes_and_others_are_not() {
        let mut limiter = Limiter::new(2);
        let start = Timestamp::UNIX_EPOCH;
        let at = |seconds| start.checked_add(Duration::from_secs(seconds)).unwrap();
        assert_eq!(limiter.count("a", at(0)), Quota { total: 2, left: 1, resets: 300, blocked: false });
        assert!(!limiter.count("a", at(200)).blocked);
        assert_eq!(limiter.count("a", at(250)), Quota { total: 2, left: 0, resets: 300, blocked: true });
        assert!(!limiter.count("b", at(250)).blocked);
        assert_eq!(limiter.count("a", at(540)).resets, 10, "calls while blocked do not make it longer");
        assert_eq!(limiter.count("a", at(550)).left, 1);
    }

    #[test]
    fn requests_of_another_five_minutes_do_not_count() {
        let mut limiter = Limiter::new(1);
        let start = Timestamp::UNIX_EPOCH;
        assert!(!limiter.count("a", start).blocked);
        assert!(!limiter.count("a", later(start)).blocked);
    }
}
