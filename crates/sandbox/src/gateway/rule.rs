//! Faults on request: which calls they meet, and what happens to them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::lock;

/// What can happen to a call; each server of the sandbox has its own.
pub trait Effect: Copy {
    /// How much longer the call takes, if that is all.
    fn latency(self) -> Option<Latency>;
    /// Whether the call waits for a release.
    fn holds(self) -> bool;
}

/// Names a rule of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(u64);

/// Which calls are met, and by what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule<A = Act> {
    /// `service:Operation` with `*` for anything: `ec2:Create*`, `*:Describe*`, `*`.
    #[serde(default = "anything")]
    pub operation: String,
    /// Only calls of this access key. `None`: everybody's.
    #[serde(default)]
    pub access_key: Option<String>,
    /// Only calls for this region. `None`: every region.
    #[serde(default)]
    pub region: Option<String>,
    /// Only calls that change something.
    #[serde(default)]
    pub changes: bool,
    /// Chance that a call is met, 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// Dice of its own, so that what other rules and accounts do does not change its throws. `None`: the gateway's.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Lets that many matching calls pass before the first is met: 2 meets the third.
    #[serde(default)]
    pub skip: u64,
    /// Meets at most that many calls. `None`: no end.
    #[serde(default)]
    pub times: Option<u64>,
    /// Only calls for which no token is left: with [`Act::Throttle`] it is how AWS limits the rate of calls.
    #[serde(default)]
    pub bucket: Option<Bucket>,
    /// What happens.
    pub act: A,
}

/// How many calls pass. Each operation has a bucket of its own for each access key and region.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// How many at once; it is full at first.
    pub size: f64,
    /// How many a second after that.
    pub per_second: f64,
}

fn anything() -> String {
    "*".to_owned()
}

fn always() -> f64 {
    1.0
}

impl<A> Rule<A> {
    /// A rule for every call whose `service:Operation` matches.
    pub fn new(operation: &str, act: A) -> Rule<A> {
        Rule {
            operation: operation.to_owned(),
            access_key: None,
            region: None,
            changes: false,
            probability: 1.0,
            seed: None,
            skip: 0,
            times: None,
            bucket: None,
            act,
        }
    }

    /// Only once.
    pub fn once(self) -> Rule<A> {
        Rule { times: Some(1), ..self }
    }

    /// Only the n-th matching call, counted from 1.
    pub fn nth(self, n: u64) -> Rule<A> {
        Rule { skip: n.saturating_sub(1), times: Some(1), ..self }
    }

    /// Only calls of this access key.
    pub fn access_key(self, access_key: &str) -> Rule<A> {
        Rule { access_key: Some(access_key.to_owned()), ..self }
    }

    /// Only calls for this region. With [`Act::CutBefore`] and `*` it is a region that is down.
    pub fn region(self, region: &str) -> Rule<A> {
        Rule { region: Some(region.to_owned()), ..self }
    }

    /// Only calls that change something.
    pub fn changes(self) -> Rule<A> {
        Rule { changes: true, ..self }
    }

    /// Only by chance, 0 to 1.
    pub fn probability(self, probability: f64) -> Rule<A> {
        Rule { probability, ..self }
    }

    /// Only calls for which no token is left in a bucket of `size` that gets `per_second`.
    pub fn bucket(self, size: f64, per_second: f64) -> Rule<A> {
        Rule { bucket: Some(Bucket { size, per_second }), ..self }
    }

    /// With dice of its own.
    pub fn seed(self, seed: u64) -> Rule<A> {
        Rule { seed: Some(seed), ..self }
    }

    fn matches(&self, call: &str, access_key: &str, region: &str, mutates: bool) -> bool {
        glob(&self.operation, call)
            && (mutates || !self.changes)
            && self.access_key.as_deref().is_none_or(|want| want == access_key)
            && self.region.as_deref().is_none_or(|want| want == region)
    }
}

/// What happens to a call that a rule meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// The call takes longer; other rules may act on it as well.
    Latency(Latency),
    /// Answers with the service's own throttling error; nothing happens in the cloud.
    Throttle,
    /// Answers as to somebody who may not do this.
    Denied,
    /// Answers as to credentials that have run out.
    Expired,
    /// Answers that a quota is used up.
    Quota,
    /// Answers 500; nothing happens in the cloud.
    ErrorBefore,
    /// The call takes effect, the answer is 500.
    ErrorAfter,
    /// Closes the connection; nothing happens in the cloud.
    CutBefore,
    /// The call takes effect, then the connection is closed without an answer.
    CutAfter,
    /// Waits for a release before the call is forwarded. If the caller goes away meanwhile, it never is.
    HoldBefore,
    /// The call takes effect; the answer waits for a release.
    HoldAfter,
}

impl Effect for Act {
    fn latency(self) -> Option<Latency> {
        if let Act::Latency(latency) = self { Some(latency) } else { None }
    }

    fn holds(self) -> bool {
        matches!(self, Act::HoldBefore | Act::HoldAfter)
    }
}

/// How much longer a call takes, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Latency {
    /// Always the same.
    Fixed(u64),
    /// Evenly between two values.
    Between(u64, u64),
    /// A rough picture of AWS: reads 20 to 80, changes 80 to 400, one call in fifty five times as long.
    Typical,
}

/// What the rules say about one call.
#[derive(Debug)]
pub(crate) struct Verdict<A = Act> {
    pub(crate) delay: Duration,
    pub(crate) act: Option<A>,
    pub(crate) hold: Option<Hold>,
}

/// A place in front of a barrier.
#[derive(Debug)]
pub(crate) struct Hold {
    waiting: Arc<watch::Sender<usize>>,
    released: watch::Receiver<u64>,
}

impl Hold {
    /// Waits for the release; counts as held meanwhile.
    pub(crate) async fn wait(mut self) {
        struct Place(Arc<watch::Sender<usize>>);
        impl Drop for Place {
            fn drop(&mut self) {
                self.0.send_modify(|held| *held -= 1);
            }
        }
        self.waiting.send_modify(|held| *held += 1);
        let _place = Place(self.waiting);
        // An error means that the rule was taken away, which releases as well.
        let _ = self.released.changed().await;
    }
}

struct Entry<A> {
    id: RuleId,
    rule: Rule<A>,
    dice: Option<Dice>,
    /// What is left in each bucket, and when it was looked at.
    buckets: HashMap<[String; 3], (f64, Instant)>,
    matched: u64,
    acted: u64,
    waiting: Arc<watch::Sender<usize>>,
    release: watch::Sender<u64>,
}

/// All rules of a server, in order: the first that matches a call acts.
pub struct Rules<A = Act> {
    entries: Mutex<Vec<Entry<A>>>,
    dice: Mutex<Dice>,
    next: AtomicU64,
}

impl<A: Effect> Rules<A> {
    pub(crate) fn new(seed: u64) -> Rules<A> {
        Rules { entries: Mutex::new(Vec::new()), dice: Mutex::new(Dice(seed)), next: AtomicU64::new(1) }
    }

    /// Adds a rule behind the others.
    pub fn add(&self, rule: Rule<A>) -> RuleId {
        let id = RuleId(self.next.fetch_add(1, Ordering::Relaxed));
        lock(&self.entries).push(Entry {
            id,
            dice: rule.seed.map(Dice),
            rule,
            buckets: HashMap::new(),
            matched: 0,
            acted: 0,
            waiting: Arc::new(watch::Sender::new(0)),
            release: watch::Sender::new(0),
        });
        id
    }

    /// Takes a rule away and releases the calls that it holds. Returns whether it was there.
    pub fn remove(&self, id: RuleId) -> bool {
        let mut entries = lock(&self.entries);
        let before = entries.len();
        entries.retain(|entry| entry.id != id);
        entries.len() < before
    }

    /// Takes all rules away and releases every held call.
    pub fn clear(&self) {
        lock(&self.entries).clear();
    }

    /// Every rule with its id and how often it acted.
    pub(crate) fn list(&self) -> Vec<(RuleId, Rule<A>, u64)> {
        lock(&self.entries).iter().map(|entry| (entry.id, entry.rule.clone(), entry.acted)).collect()
    }

    /// How often a rule has acted.
    pub fn acted(&self, id: RuleId) -> u64 {
        lock(&self.entries).iter().find(|entry| entry.id == id).map_or(0, |entry| entry.acted)
    }

    /// How many calls a rule holds right now.
    pub fn held(&self, id: RuleId) -> usize {
        lock(&self.entries).iter().find(|entry| entry.id == id).map_or(0, |entry| *entry.waiting.borrow())
    }

    /// Waits until a rule holds at least `count` calls; false if that takes longer than `limit`.
    pub async fn wait_held(&self, id: RuleId, count: usize, limit: Duration) -> bool {
        self.wait_until(id, limit, |held| *held >= count).await
    }

    /// Waits until whoever made the calls that a rule holds is gone; false if that takes longer than `limit`. Between the end
    /// of a program and [`remove`](Self::remove), or a call that is held before its effect has it after all.
    pub async fn wait_abandoned(&self, id: RuleId, limit: Duration) -> bool {
        self.wait_until(id, limit, |held| *held == 0).await
    }

    async fn wait_until(&self, id: RuleId, limit: Duration, come: impl FnMut(&usize) -> bool) -> bool {
        let waiting =
            lock(&self.entries).iter().find(|entry| entry.id == id).map(|entry| entry.waiting.subscribe());
        let Some(mut waiting) = waiting else { return false };
        matches!(tokio::time::timeout(limit, waiting.wait_for(come)).await, Ok(Ok(_)))
    }

    /// Lets the calls that a rule holds go on. Later calls are held again until the rule is taken away.
    pub fn release(&self, id: RuleId) {
        if let Some(entry) = lock(&self.entries).iter().find(|entry| entry.id == id) {
            entry.release.send_modify(|round| *round += 1);
        }
    }

    pub(crate) fn release_all(&self) {
        for entry in lock(&self.entries).iter() {
            entry.release.send_modify(|round| *round += 1);
        }
    }

    /// Decides about a call. Latencies add up; of the other acts the first wins.
    pub(crate) fn judge(&self, call: &str, access_key: &str, region: &str, mutates: bool) -> Verdict<A> {
        let mut verdict = Verdict { delay: Duration::ZERO, act: None, hold: None };
        for entry in lock(&self.entries).iter_mut() {
            let latency = entry.rule.act.latency();
            if !entry.rule.matches(call, access_key, region, mutates)
                || (latency.is_none() && verdict.act.is_some())
            {
                continue;
            }
            entry.matched += 1;
            let spent = entry.rule.times.is_some_and(|times| entry.acted >= times);
            if entry.matched <= entry.rule.skip || spent {
                continue;
            }
            let mut shared = lock(&self.dice);
            let dice = entry.dice.as_mut().unwrap_or(&mut shared);
            // A certain rule throws no dice, so that adding one does not change what chance does to the others.
            if entry.rule.probability < 1.0 && dice.unit() >= entry.rule.probability {
                continue;
            }
            if let Some(bucket) = entry.rule.bucket {
                let key = [call, access_key, region].map(str::to_owned);
                let now = Instant::now();
                let (tokens, at) = entry.buckets.entry(key).or_insert((bucket.size, now));
                let back = now.duration_since(*at).as_secs_f64() * bucket.per_second;
                (*tokens, *at) = ((*tokens + back).min(bucket.size), now);
                if *tokens >= 1.0 {
                    *tokens -= 1.0;
                    continue;
                }
            }
            entry.acted += 1;
            match latency {
                Some(latency) => verdict.delay += Duration::from_millis(dice.latency(latency, mutates)),
                None => {
                    verdict.act = Some(entry.rule.act);
                    if entry.rule.act.holds() {
                        verdict.hold = Some(Hold {
                            waiting: entry.waiting.clone(),
                            released: entry.release.subscribe(),
                        });
                    }
                }
            }
        }
        verdict
    }
}

/// A small seeded generator (splitmix64): the same seed and the same calls give the same faults.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly in 0 to 1, without 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn latency(&mut self, latency: Latency, mutates: bool) -> u64 {
        match latency {
            Latency::Fixed(millis) => millis,
            Latency::Between(low, high) => low + self.next() % (high.saturating_sub(low) + 1),
            Latency::Typical => {
                let usual = if mutates {
                    self.latency(Latency::Between(80, 400), true)
                } else {
                    self.latency(Latency::Between(20, 80), false)
                };
                if self.next().is_multiple_of(50) { usual * 5 } else { usual }
            }
        }
    }
}

/// Whether a text fits a pattern in which `*` stands for any run of characters.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acts(rules: &Rules, calls: usize) -> Vec<bool> {
        (0..calls).map(|_| rules.judge("ec2:CreateVpc", "A", "r", true).act.is_some()).collect()
    }

    #[test]
    fn patterns_match_like_a_shell() {
        for (pattern, text, fits) in [
            ("*", "ec2:CreateVpc", true),
            ("ec2:*", "ec2:CreateVpc", true),
            ("ec2:Create*", "ec2:DeleteVpc", false),
            ("*:Describe*", "ecs:DescribeTasks", true),
            ("ec2:CreateVpc", "ec2:CreateVpcPeering", false),
            ("*Vpc", "ec2:CreateVpcs", false),
            ("e*2:*Vpc*", "ec2:CreateVpcs", true),
            ("", "x", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_rule_meets_the_calls_it_names() {
        let rules = Rules::new(1);
        rules.add(Rule::new("ec2:Create*", Act::Throttle).access_key("B"));
        assert_eq!(rules.judge("ec2:CreateVpc", "A", "r", true).act, None);
        assert_eq!(rules.judge("ec2:DeleteVpc", "B", "r", true).act, None);
        assert_eq!(rules.judge("ec2:CreateVpc", "B", "r", true).act, Some(Act::Throttle));
    }

    #[test]
    fn a_rule_cuts_one_region_off() {
        let rules = Rules::new(1);
        rules.add(Rule::new("*", Act::CutBefore).region("us-west-2"));
        assert_eq!(rules.judge("ec2:DescribeVpcs", "A", "us-east-1", false).act, None);
        assert_eq!(rules.judge("ec2:DescribeVpcs", "A", "us-west-2", false).act, Some(Act::CutBefore));
    }

    #[test]
    fn a_rule_for_changes_lets_reads_pass() {
        let rules = Rules::new(1);
        rules.add(Rule::new("*", Act::Denied).changes());
        assert_eq!(rules.judge("ec2:DescribeVpcs", "A", "r", false).act, None);
        assert_eq!(rules.judge("ec2:CreateVpc", "A", "r", true).act, Some(Act::Denied));
    }

    #[test]
    fn the_nth_call_is_met_once() {
        let rules = Rules::new(1);
        let id = rules.add(Rule::new("*", Act::CutAfter).nth(3));
        assert_eq!(acts(&rules, 5), [false, false, true, false, false]);
        assert_eq!(rules.acted(id), 1);
    }

    #[test]
    fn chance_follows_the_seed() {
        let throw = |seed| {
            let rules = Rules::new(seed);
            rules.add(Rule::new("*", Act::Throttle).probability(0.3));
            acts(&rules, 1000)
        };
        assert_eq!(throw(7), throw(7));
        assert_ne!(throw(7), throw(8));
        let met = throw(7).iter().filter(|met| **met).count();
        assert!((240..360).contains(&met), "{met}");
    }

    #[test]
    fn dice_of_its_own_throw_the_same_whatever_others_do() {
        let throw = |others: usize| {
            let rules = Rules::new(1);
            rules.add(Rule::new("*", Act::Throttle).probability(0.3).seed(5).access_key("A"));
            rules.add(Rule::new("*", Act::CutAfter).probability(0.5).access_key("B"));
            let other = || (0..others).for_each(|_| drop(rules.judge("x:Y", "B", "r", true)));
            let mine = || rules.judge("ec2:CreateVpc", "A", "r", true).act.is_some();
            (0..100).map(|_| (other(), mine()).1).collect::<Vec<_>>()
        };
        assert_eq!(throw(0), throw(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_lets_calls_pass_as_long_as_it_has_tokens() {
        let rules = Rules::new(1);
        rules.add(Rule::new("ec2:*", Act::Throttle).bucket(2.0, 20.0));
        let met = |call, region| rules.judge(call, "A", region, true).act.is_some();
        assert_eq!([1, 2, 3].map(|_| met("ec2:CreateVpc", "r")), [false, false, true]);
        assert!(!met("ec2:CreateSubnet", "r"), "another operation has another bucket");
        assert!(!met("ec2:CreateVpc", "s"), "and another region");
        tokio::time::advance(Duration::from_millis(60)).await;
        assert_eq!([1, 2].map(|_| met("ec2:CreateVpc", "r")), [false, true], "one has come back");
    }

    #[test]
    fn latency_adds_to_other_acts() {
        let rules = Rules::new(1);
        rules.add(Rule::new("*", Act::Latency(Latency::Fixed(5))));
        rules.add(Rule::new("*", Act::Throttle));
        rules.add(Rule::new("*", Act::Latency(Latency::Between(10, 20))));
        let verdict = rules.judge("ec2:CreateVpc", "A", "r", true);
        assert_eq!(verdict.act, Some(Act::Throttle));
        assert!((15..=25).contains(&verdict.delay.as_millis()), "{:?}", verdict.delay);
    }

    #[tokio::test]
    async fn a_barrier_holds_until_it_is_released() {
        let rules = Arc::new(Rules::new(1));
        let id = rules.add(Rule::new("*", Act::HoldBefore));
        let hold = rules.judge("a:B", "A", "r", true).hold.unwrap();
        let held = tokio::spawn(hold.wait());
        assert!(rules.wait_held(id, 1, Duration::from_secs(5)).await);
        assert!(!held.is_finished());
        rules.release(id);
        held.await.unwrap();
        assert_eq!(rules.held(id), 0);
        let again = tokio::spawn(rules.judge("a:B", "A", "r", true).hold.unwrap().wait());
        assert!(rules.wait_held(id, 1, Duration::from_secs(5)).await);
        rules.remove(id);
        again.await.unwrap();
    }

    #[test]
    fn rules_have_a_plain_json_form() {
        let rule: Rule =
            serde_json::from_str(r#"{"operation":"rds:*","times":2,"act":{"latency":{"between":[10,20]}}}"#)
                .unwrap();
        assert_eq!(rule.act, Act::Latency(Latency::Between(10, 20)));
        assert_eq!((rule.probability, rule.times), (1.0, Some(2)));
        assert_eq!(serde_json::from_str::<Rule>(r#"{"act":"cut-after"}"#).unwrap().act, Act::CutAfter);
        assert!(serde_json::from_str::<Rule>(r#"{"act":"throttle","whom":"me"}"#).is_err());
    }
}
