//! What was made a moment ago and is not seen everywhere yet, where the service has no word of its own for that.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// IAM spreads within seconds:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency>
const SPREADS_WITHIN: Duration = Duration::from_secs(60);

/// Codes that services give for a role or a profile that they do not see yet, and for real mistakes alike. They mean
/// "not yet" for a minute after they were first given for something, and then what they say.
#[derive(Default)]
pub(crate) struct Spreading(Mutex<BTreeMap<String, Instant>>);

impl Spreading {
    /// `codes`, as long as they may mean "not yet" for the incarnation `instance`; the first time starts the clock.
    pub(crate) fn codes<'c>(&self, instance: &str, codes: &'c [&'c str]) -> &'c [&'c str] {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = since.entry(instance.to_owned()).or_insert_with(Instant::now);
        if first.elapsed() < SPREADS_WITHIN { codes } else { &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_means_not_yet_for_a_minute_only() {
        let spreading = Spreading::default();
        assert_eq!(spreading.codes("i", &["ValidationError"]), ["ValidationError"]);
        let long_ago = Instant::now().checked_sub(SPREADS_WITHIN);
        if let Some(long_ago) = long_ago {
            spreading.0.lock().unwrap().insert("i".into(), long_ago);
            assert!(spreading.codes("i", &["ValidationError"]).is_empty());
        }
    }
}
