//! How many calls may be made: as many as a provider allows, less what is left to people, whatever run they are made by.
//!
//! A bucket fills at an even pace, and each call takes from it. It is kept in a small file, so that runs that a timer starts
//! share it. What the provider says of itself counts more than the bucket.

use crate::error::ProviderError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The longest that it takes until a provider that does not say so may be asked again.
const LONGEST: Duration = Duration::from_secs(300);

/// How long a call may wait for its turn. Whoever waits longer had better come again.
const PATIENCE: Duration = Duration::from_secs(330);

/// How many calls a provider allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many calls ..
    pub calls: u32,
    /// .. in this time.
    pub window: Duration,
    /// Of these, so many are left to others: people who look at the zone, and other tools with the same user.
    pub reserve: u32,
}

impl Rate {
    /// Cloudflare's 1,200 calls in five minutes, of which 200 are left to others.
    /// <https://developers.cloudflare.com/fundamentals/api/reference/limits/>
    pub const CLOUDFLARE: Rate = Rate { calls: 1200, window: Duration::from_secs(300), reserve: 200 };

    /// What may be taken at once. In any window there is what the bucket held and what came in meanwhile, so each is
    /// half of what is allowed.
    fn most(&self) -> f64 {
        f64::from(self.calls.saturating_sub(self.reserve).max(2)) / 2.0
    }

    fn a_second(&self) -> f64 {
        self.most() / self.window.as_secs_f64()
    }
}

/// Calls that may be made.
#[derive(Debug)]
pub struct Budget {
    rate: Rate,
    file: Option<PathBuf>,
    held: Mutex<Ledger>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Ledger {
    /// Calls that may be made, as of `at`.
    calls: f64,
    /// Milliseconds since 1970; 0 before the first call.
    at: i64,
    /// Until then none may be made; milliseconds since 1970.
    #[serde(default)]
    closed_until: i64,
    /// How often in a row we were refused and not told for how long.
    #[serde(default)]
    refusals: u32,
}

impl Ledger {
    /// Takes one call, or says for how many milliseconds to wait.
    fn take(&mut self, now: i64, rate: &Rate) -> Result<(), u64> {
        self.fill(now, rate);
        if self.closed_until > now {
            return Err((self.closed_until - now).unsigned_abs());
        }
        if self.calls < 1.0 {
            let missing = (1.0 - self.calls) / rate.a_second();
            return Err(Duration::from_secs_f64(missing).as_millis().try_into().unwrap_or(u64::MAX).max(1));
        }
        self.calls -= 1.0;
        Ok(())
    }

    fn fill(&mut self, now: i64, rate: &Rate) {
        let first = self.at == 0;
        let passed = Duration::from_millis(u64::try_from(now - self.at).unwrap_or(0));
        let full = self.calls + passed.as_secs_f64() * rate.a_second();
        self.calls = if first { rate.most() } else { full.min(rate.most()) };
        // A clock that was set back must not keep the bucket empty until it has come so far again.
        self.at = now;
        self.closed_until = self.closed_until.min(now.saturating_add(millis(LONGEST * 2)));
    }

    fn refused(&mut self, now: i64, after: Option<Duration>) {
        let pause = after.unwrap_or_else(|| {
            self.refusals = self.refusals.saturating_add(1);
            Duration::from_secs(1 << self.refusals.min(9)).min(LONGEST)
        });
        self.closed_until = self.closed_until.max(now.saturating_add(millis(pause)));
    }

    /// What the header `Ratelimit` says: `"default";r=50;t=30`.
    fn told(&mut self, now: i64, rate: &Rate, header: &str) {
        let part = |key: &str| {
            let mut parts = header.split([';', ',']).filter_map(|part| part.trim().split_once('='));
            parts.find(|(k, _)| *k == key)?.1.parse::<u32>().ok()
        };
        self.refusals = 0;
        let Some(left) = part("r") else { return };
        self.calls = self.calls.min(f64::from(left.saturating_sub(rate.reserve)));
        if left == 0 {
            self.refused(now, Some(Duration::from_secs(part("t").unwrap_or(1).into())));
        }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl Budget {
    /// As `rate` says; kept in `file` if there is one. Runs with the same credentials name the same file.
    pub fn new(rate: Rate, file: Option<PathBuf>) -> Self {
        Budget { rate, file, held: Mutex::default() }
    }

    /// Waits until `call` may be made.
    ///
    /// # Errors
    /// [`ProviderError::Throttled`] where that takes longer than five minutes.
    pub async fn take(&self, call: &'static str) -> Result<(), ProviderError> {
        let mut waited = Duration::ZERO;
        loop {
            let rate = self.rate;
            let Err(pause) = self.with(|ledger, now| ledger.take(now, &rate)) else { return Ok(()) };
            let pause = Duration::from_millis(pause);
            if waited + pause > PATIENCE {
                let words = format!("all of the {} calls that are ours are made", rate.most() * 2.0);
                return Err(ProviderError::Throttled { call, words, after: Some(pause) });
            }
            tracing::info!(call, seconds = pause.as_secs_f32(), "waiting until the provider may be asked");
            tokio::time::sleep(pause).await;
            waited += pause;
        }
    }

    /// The provider refused a call for its rate, and takes the next `after` that, if it said so.
    pub fn refused(&self, after: Option<Duration>) {
        self.with(|ledger, now| ledger.refused(now, after));
    }

    /// The provider answered with this header `Ratelimit`, if it did.
    pub fn told(&self, header: Option<&str>) {
        let rate = self.rate;
        self.with(|ledger, now| ledger.told(now, &rate, header.unwrap_or_default()));
    }

    fn with<T>(&self, act: impl FnOnce(&mut Ledger, i64) -> T) -> T {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::now().as_millisecond();
        let Some(file) = &self.file else { return act(&mut held, now) };
        match Kept::open(file) {
            Ok(mut kept) => {
                let mut ledger = kept.read().unwrap_or_else(|| held.clone());
                let out = act(&mut ledger, now);
                kept.write(file, &ledger);
                *held = ledger;
                out
            }
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "calls are counted for this run alone");
                act(&mut held, now)
            }
        }
    }
}

/// The file, for as long as nobody else may write it.
struct Kept(File);

impl Kept {
    fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.lock()?;
        Ok(Kept(file))
    }

    /// What is written there; none in a new file, and in one that makes no sense.
    fn read(&mut self) -> Option<Ledger> {
        let mut text = String::new();
        self.0.read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn write(&mut self, path: &Path, ledger: &Ledger) {
        let text = serde_json::to_string(ledger).unwrap_or_default();
        let written =
            self.0.set_len(0).and_then(|()| self.0.rewind()).and_then(|()| self.0.write_all(text.as_bytes()));
        if let Err(error) = written {
            tracing::warn!(file = %path.display(), %error, "calls are counted for this run alone");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { calls: 12, window: Duration::from_secs(10), reserve: 2 };

    #[test]
    fn in_any_window_there_are_no_more_calls_than_are_allowed() {
        let mut ledger = Ledger::default();
        let (mut now, mut made) = (1_000_000_i64, vec![]);
        while now < 1_060_000 {
            match ledger.take(now, &RATE) {
                Ok(()) => made.push(now),
                Err(wait) => now += i64::try_from(wait).unwrap(),
            }
        }
        let most =
            made.iter().map(|from| made.iter().filter(|at| (*from..from + 10_000).contains(*at)).count());
        assert!(most.max().unwrap() <= 10);
        assert!(made.len() >= 5 + 29, "all of them are used: {}", made.len());
    }

    #[test]
    fn what_the_provider_says_counts_more() {
        let mut ledger = Ledger::default();
        ledger.take(1000, &RATE).unwrap();
        ledger.refused(1000, Some(Duration::from_secs(7)));
        assert_eq!(ledger.take(2000, &RATE), Err(6000));
        assert_eq!(ledger.take(8000, &RATE), Ok(()));
        ledger.told(8000, &RATE, "\"default\";r=3;t=30");
        assert!(ledger.calls <= 1.0);
        ledger.told(8000, &RATE, "\"default\";r=0;t=30");
        assert_eq!(ledger.take(8000, &RATE), Err(30_000));
    }

    #[test]
    fn who_is_not_told_for_how_long_waits_longer_each_time() {
        let mut ledger = Ledger::default();
        let waits: Vec<u64> = (0..10)
            .map(|_| {
                ledger.closed_until = 0;
                ledger.refused(0, None);
                u64::try_from(ledger.closed_until).unwrap() / 1000
            })
            .collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        ledger.told(0, &RATE, "");
        assert_eq!(ledger.refusals, 0);
    }

    #[test]
    fn runs_share_a_file_and_survive_a_broken_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("calls.json");
        let [one, other] = [(); 2].map(|()| Budget::new(RATE, Some(file.clone())));
        let take = |budget: &Budget| budget.with(|ledger, now| ledger.take(now, &RATE)).is_ok();
        assert!((0..3).all(|_| take(&one)));
        assert!((0..2).all(|_| take(&other)));
        assert!(!take(&one) && !take(&other));
        std::fs::write(&file, "half of somethi").unwrap();
        assert!(!take(&one), "what this run knows still counts");
        // The clock was set back by a year.
        let late = Ledger { at: Timestamp::now().as_millisecond() + 31_536_000_000, ..Ledger::default() };
        std::fs::write(&file, serde_json::to_string(&late).unwrap()).unwrap();
        assert!(!take(&other));
        assert!(other.held.lock().unwrap().at <= Timestamp::now().as_millisecond());
    }
}
