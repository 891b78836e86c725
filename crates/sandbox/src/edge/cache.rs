//! What the edge keeps, and for how long.
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html>

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use super::site::CachePolicy;
use crate::gateway::lock;

/// How much is kept, and of one object at most, in bytes.
const LARGEST: usize = 256 << 20;
const LARGEST_OBJECT: usize = 16 << 20;

/// What two requests share when one answer is for both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) distribution: String,
    /// The path after the function, with the part of the query string that counts. Invalidations name it.
    pub(super) path: String,
    /// Headers and cookies that count.
    pub(super) more: String,
    /// `br`, `gzip` or nothing.
    pub(super) encoding: &'static str,
}

/// An answer of an origin.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// When it was asked for.
    pub(super) at: Instant,
    pub(super) expires: Instant,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// As the origin gave it; compression weakens it in the headers.
    pub(super) etag: Option<String>,
}

#[derive(Default)]
pub(super) struct Cache(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    entries: HashMap<Key, (Arc<Entry>, Instant)>,
    size: usize,
}

impl Cache {
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        let mut kept = lock(&self.0);
        let (entry, used) = kept.entries.get_mut(key)?;
        *used = Instant::now();
        Some(entry.clone())
    }

    pub(super) fn put(&self, key: Key, entry: Arc<Entry>) {
        if entry.body.len() > LARGEST_OBJECT {
            return;
        }
        let mut kept = lock(&self.0);
        kept.size += entry.body.len();
        if let Some((old, _)) = kept.entries.insert(key, (entry, Instant::now())) {
            kept.size -= old.body.len();
        }
        if kept.size > LARGEST {
            kept.shrink();
        }
    }

    pub(super) fn remove(&self, key: &Key) {
        let mut kept = lock(&self.0);
        if let Some((old, _)) = kept.entries.remove(key) {
            kept.size -= old.body.len();
        }
    }
}

impl Kept {
    /// Drops what was not used for longest, half of all.
    fn shrink(&mut self) {
        let mut uses: Vec<Instant> = self.entries.values().map(|(_, used)| *used).collect();
        uses.sort();
        let Some(middle) = uses.get(uses.len() / 2).copied() else { return };
        self.entries.retain(|_, (_, used)| *used > middle);
        self.size = self.entries.values().map(|(entry, _)| entry.body.len()).sum();
    }
}

/// For how long an answer is good. `None`: it is not kept at all, not even to ask whether it is still good.
pub(super) fn lasts(headers: &HeaderMap, policy: &CachePolicy) -> Option<Duration> {
    let (min, max) = (policy.min.min(policy.max), policy.max);
    if max == 0 {
        return None;
    }
    let control = directives(headers);
    let has = |name: &str| control.iter().any(|(given, _)| given == name);
    let seconds = if has("no-store") || has("private") {
        if min == 0 {
            return None;
        }
        min
    } else if has("no-cache") {
        min
    } else {
        age(&control).or_else(|| until_expiry(headers)).unwrap_or(policy.default).clamp(min, max)
    };
    Some(Duration::from_secs(seconds))
}

/// For how long an error is good: at least so many seconds.
pub(super) fn error_lasts(headers: &HeaderMap, at_least: u64) -> Duration {
    Duration::from_secs(age(&directives(headers)).unwrap_or_default().max(at_least))
}

fn directives(headers: &HeaderMap) -> Vec<(String, Option<String>)> {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let parts = values.flat_map(|value| value.split(',')).map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| match part.split_once('=') {
            Some((name, value)) => {
                (name.trim().to_ascii_lowercase(), Some(value.trim().trim_matches('"').to_owned()))
            }
            None => (part.to_ascii_lowercase(), None),
        })
        .collect()
}

fn age(control: &[(String, Option<String>)]) -> Option<u64> {
    let of = |name: &str| {
        control
            .iter()
            .find(|(given, _)| given == name)
            .and_then(|(_, value)| value.as_ref()?.parse::<u64>().ok())
    };
    of("s-maxage").or_else(|| of("max-age"))
}

fn until_expiry(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::EXPIRES)?.to_str().ok()?;
    // A date that cannot be read is one that has passed.
    let Ok(at) = jiff::fmt::rfc2822::parse(text) else { return Some(0) };
    let left = at.timestamp().as_second() - jiff::Timestamp::now().as_second();
    Some(u64::try_from(left).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(min: u64, default: u64, max: u64) -> CachePolicy {
        CachePolicy { min, default, max, ..CachePolicy::default() }
    }

    fn of(control: &str, policy: &CachePolicy) -> Option<u64> {
        let mut headers = HeaderMap::new();
        if !control.is_empty() {
            headers.insert(header::CACHE_CONTROL, control.parse().unwrap());
        }
        lasts(&headers, policy).map(|lasts| lasts.as_secs())
    }

    #[test]
    fn ages_stay_within_the_policy() {
        let wide = policy(0, 100, 1000);
        assert_eq!(of("", &wide), Some(100));
        assert_eq!(of("max-age=7", &wide), Some(7));
        assert_eq!(of("max-age=7, S-MaxAge=\"9\"", &wide), Some(9));
        assert_eq!(of("max-age=7000", &wide), Some(1000));
        assert_eq!(of("max-age=0, must-revalidate", &wide), Some(0));
        assert_eq!(of("max-age=0", &policy(5, 100, 1000)), Some(5));
        assert_eq!(of("", &policy(200, 100, 1000)), Some(200));
    }

    #[test]
    fn what_may_not_be_kept_is_not_unless_the_policy_says_so() {
        assert_eq!(of("no-store", &policy(0, 100, 1000)), None);
        assert_eq!(of("private, max-age=7", &policy(0, 100, 1000)), None);
        assert_eq!(of("no-cache", &policy(0, 100, 1000)), Some(0));
        assert_eq!(of("no-store", &policy(5, 100, 1000)), Some(5));
        assert_eq!(of("max-age=7", &policy(0, 0, 0)), None);
        assert_eq!(of("max-age=7", &policy(1, 0, 0)), None);
    }

    #[test]
    fn errors_last_at_least_as_long_as_is_said() {
        let mut headers = HeaderMap::new();
        assert_eq!(error_lasts(&headers, 10).as_secs(), 10);
        headers.insert(header::CACHE_CONTROL, "max-age=60".parse().unwrap());
        assert_eq!(error_lasts(&headers, 10).as_secs(), 60);
        assert_eq!(error_lasts(&headers, 100).as_secs(), 100);
    }

    #[test]
    fn a_date_says_when_it_ends() {
        let mut headers = HeaderMap::new();
        headers.insert(header::EXPIRES, "Thu, 01 Jan 1970 00:00:00 GMT".parse().unwrap());
        assert_eq!(lasts(&headers, &policy(0, 100, 1000)), Some(Duration::ZERO));
        headers.insert(header::EXPIRES, "0".parse().unwrap());
        assert_eq!(lasts(&headers, &policy(0, 100, 1000)), Some(Duration::ZERO));
    }

    #[test]
    fn more_than_there_is_room_for_drops_what_was_not_used() {
        let cache = Cache::default();
        let key = |n: usize| Key {
            distribution: String::new(),
            path: n.to_string(),
            more: String::new(),
            encoding: "",
        };
        let entry = Arc::new(Entry {
            at: Instant::now(),
            expires: Instant::now(),
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: vec![0; LARGEST_OBJECT].into(),
            etag: None,
        });
        for n in 0..=LARGEST / LARGEST_OBJECT {
            cache.put(key(n), entry.clone());
        }
        assert!(cache.get(&key(0)).is_none());
        assert!(cache.get(&key(LARGEST / LARGEST_OBJECT)).is_some());
        assert!(lock(&cache.0).size <= LARGEST);
    }
}
