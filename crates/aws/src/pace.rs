//! How fast each API is asked: as fast as calls come, until AWS refuses one for its rate. From then on calls take turns, as
//! far apart as lets nearly all of them pass, and closer together as they do.
//!
//! AWS gives each API a bucket of tokens for an account and a region; a call takes one, and they come back at an even rate.
//! Nobody tells how many there are, or who else takes any.
//! <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>
//!
//! An interceptor of each client gives the turns; the connector, which is the one place of the SDK before a call where time
//! may pass, waits for them. Repeats are left to the SDK, and take their turn as well.

use crate::client::is_throttle;
use aws_config::SdkConfig;
use aws_smithy_http_client::{
    Builder, ConnectorBuilder,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        interceptors::{
            Intercept,
            context::{BeforeTransmitInterceptorContextMut, FinalizerInterceptorContextRef},
        },
        orchestrator::{HttpRequest, Metadata},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Calls a second after the first one that was refused: what EC2 lets most APIs that change something be asked.
const FIRST: f64 = 5.0;

/// Calls a second at least: about what EC2 allows for endpoints, which is the least of all that we call.
const LEAST: f64 = 0.25;

/// What is left of a rate at which a call was refused.
const LOSS: f64 = 0.7;

/// Calls a second that are tried more for each call that passed.
const GAIN: f64 = 0.2;

/// After so long without a refusal the bucket is full again.
const FORGET: Duration = Duration::from_secs(30);

/// No call waits longer for its turn; the SDK gives a call a minute.
const LONGEST: Duration = Duration::from_secs(20);

/// The turns at the APIs of one client, which is of one service and region.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<HashMap<String, Turns>>);

/// The turns at one API that has refused a call lately.
#[derive(Debug)]
struct Turns {
    /// Calls a second.
    rate: f64,
    /// When it is the next one's turn.
    next: Instant,
    /// When a call was refused last.
    refused: Instant,
    /// When the rate was lowered last.
    lowered: Option<Instant>,
}

impl Turns {
    fn apart(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.rate)
    }
}

impl Pace {
    fn apis(&self) -> MutexGuard<'_, HashMap<String, Turns>> {
        // Every change under this lock is complete in itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a turn at `api`: how long to wait for it.
    fn turn(&self, api: &str, now: Instant) -> Duration {
        let mut apis = self.apis();
        let Some(turns) = apis.get_mut(api) else { return Duration::ZERO };
        if now.duration_since(turns.refused) > FORGET {
            apis.remove(api);
            return Duration::ZERO;
        }
        let at = turns.next.max(now);
        turns.next = at + turns.apart();
        at.duration_since(now).min(LONGEST)
    }

    fn passed(&self, api: &str) {
        if let Some(turns) = self.apis().get_mut(api) {
            turns.rate += GAIN;
        }
    }

    fn refused(&self, api: &str, now: Instant) {
        let mut apis = self.apis();
        let new = Turns { rate: FIRST / LOSS, next: now, refused: now, lowered: None };
        let turns = apis.entry(api.to_owned()).or_insert(new);
        turns.refused = now;
        // Calls that were on their way together are refused for one mistake.
        if turns.lowered.is_none_or(|at| now.duration_since(at) >= turns.apart()) {
            turns.rate = (turns.rate * LOSS).max(LEAST);
            turns.lowered = Some(now);
        }
        // There is no token now.
        turns.next = turns.next.max(now + turns.apart());
    }
}

/// How long a request waits for its turn.
#[derive(Clone, Copy)]
struct Wait(Duration);

impl Intercept for Pace {
    fn name(&self) -> &'static str {
        "pace"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(api) = config.load::<Metadata>() {
            context.request_mut().add_extension(Wait(self.turn(api.name(), Instant::now())));
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let (Some(api), Some(answer)) = (config.load::<Metadata>(), context.response()) {
            match is_throttle(answer) {
                true => self.refused(api.name(), Instant::now()),
                false => self.passed(api.name()),
            }
        }
        Ok(())
    }
}

/// The HTTP client of `config`; without one the SDK's own, which waits for turns. All clients that are given it share its
/// connections.
pub(crate) fn http_client(config: &SdkConfig) -> SharedHttpClient {
    config.http_client().unwrap_or_else(|| {
        let plain = Builder::new().build_with_connector_fn(|settings, components| {
            let mut connector = ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            connector.set_proxy_config(Some(ProxyConfig::from_env()));
            connector.build()
        });
        SharedHttpClient::new(Patient(plain))
    })
}

/// Lets requests wait for their turns.
#[derive(Debug)]
struct Patient<T>(T);

impl HttpClient for Patient<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = self.0.http_connector(settings, components);
        match components.sleep_impl() {
            Some(sleep) => SharedHttpConnector::new(Patient((connector, sleep))),
            None => connector,
        }
    }
}

impl HttpConnector for Patient<(SharedHttpConnector, aws_smithy_async::rt::sleep::SharedAsyncSleep)> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        use aws_smithy_async::rt::sleep::AsyncSleep;
        let Patient((connector, sleep)) = self;
        match request.extension::<Wait>() {
            Some(Wait(time)) if !time.is_zero() => {
                let (turn, connector) = (sleep.sleep(*time), connector.clone());
                HttpConnectorFuture::new(async move {
                    turn.await;
                    connector.call(request).await
                })
            }
            _ => connector.call(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bucket of AWS.
    struct Bucket {
        tokens: f64,
        size: f64,
        per_second: f64,
        at: Instant,
    }

    impl Bucket {
        fn take(&mut self, now: Instant) -> bool {
            let since = now.duration_since(self.at).as_secs_f64();
            self.tokens = (self.tokens + since * self.per_second).min(self.size);
            self.at = now;
            let there = self.tokens >= 1.0;
            self.tokens -= f64::from(there);
            there
        }
    }

    /// Ten callers make `calls` calls of one API: how many were refused, and how long it took. A refused call is repeated
    /// as the SDK does it, after one second, two, four, and so on, and on average half of that.
    fn played(calls: usize, per_second: f64, paced: bool) -> (usize, Duration) {
        let begun = Instant::now();
        let mut bucket = Bucket { tokens: 10.0, size: 10.0, per_second, at: begun };
        let pace = Pace::default();
        let mut left = calls;
        // When each caller calls next, and how often that call was refused already.
        let mut callers = vec![];
        let turn = |now: Instant| now + if paced { pace.turn("X", now) } else { Duration::ZERO };
        for i in 0..10 {
            callers.push((turn(begun + Duration::from_millis(i)), 0));
        }
        let (mut refused, mut end) = (0, begun);
        while left > 0 {
            let caller = callers.iter_mut().min().unwrap();
            let now = caller.0;
            // An answer takes its time.
            let answered = now + Duration::from_millis(50);
            if bucket.take(now) {
                left -= 1;
                end = answered;
                pace.passed("X");
                *caller = (turn(answered), 0);
            } else {
                refused += 1;
                pace.refused("X", answered);
                let back_off = Duration::from_millis(500) * 2u32.pow(caller.1.min(5));
                *caller = (turn(answered + back_off), caller.1 + 1);
            }
        }
        (refused, end - begun)
    }

    #[test]
    fn taking_turns_few_calls_are_refused_and_little_time_is_lost() {
        for per_second in [2.0, 5.0, 20.0] {
            let (plain, usual) = played(200, per_second, false);
            let (paced, time) = played(200, per_second, true);
            println!("{per_second}/s: {plain} refused in {usual:?}, {paced} in {time:?} with turns");
            assert!(paced * 2 < plain, "{per_second}/s: {paced} refused, {plain} without turns");
            assert!(time < usual * 2, "{per_second}/s: {time:?}, {usual:?} without turns");
        }
    }

    #[test]
    fn who_is_never_refused_never_waits_and_who_was_refused_long_ago_neither() {
        let (pace, now) = (Pace::default(), Instant::now());
        (0..100).for_each(|_| assert_eq!(pace.turn("X", now), Duration::ZERO));
        pace.refused("X", now);
        assert!(pace.turn("X", now) > Duration::ZERO);
        assert_eq!(pace.turn("Y", now), Duration::ZERO);
        assert_eq!(pace.turn("X", now + FORGET * 2), Duration::ZERO);
    }

    #[test]
    fn a_refusal_for_each_call_on_its_way_lowers_the_rate_once() {
        let (pace, now) = (Pace::default(), Instant::now());
        (0..10).for_each(|_| pace.refused("X", now));
        assert!((pace.apis()["X"].rate - FIRST).abs() < 1e-9);
    }

    #[test]
    fn nobody_waits_for_ever() {
        let (pace, now) = (Pace::default(), Instant::now());
        (0..100).for_each(|i| pace.refused("X", now + Duration::from_secs(2) * i));
        let now = now + Duration::from_secs(198);
        assert!((pace.apis()["X"].rate - LEAST).abs() < 1e-9);
        assert!((0..100).all(|_| pace.turn("X", now) <= LONGEST));
    }
}
