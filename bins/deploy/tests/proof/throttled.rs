//! EC2 limits each API by a bucket of tokens. The example stays below what a whole account is allowed; where others take nine
//! tenths of that it does not. An apply completes all the same, and as its calls take turns, fewer are refused than of
//! one that only runs ten steps at a time and repeats what was refused.

use crate::{examples::SINGLE_REGION, place::Place};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use causeway_sandbox::{
    Options, Sandbox,
    gateway::{Act, Pending, Rule},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A tenth of what EC2 allows for most APIs that read: at once, and a second.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>
const READS: (f64, f64) = (10.0, 2.0);

/// A tenth of what it allows for most that change something.
const CHANGES: (f64, f64) = (5.0, 0.5);

/// An apply in an account of its own: how many calls were refused, and how long it took.
fn applied(sandbox: &Arc<Sandbox>, number: u64, http: Option<SharedHttpClient>) -> (u64, Duration) {
    let mut place = Place::with(sandbox, number, SINGLE_REGION);
    place.through(causeway_aws::retries(), http);
    let gateway = sandbox.gateway();
    let reads = Rule::new("ec2:Describe*", Act::Throttle).bucket(READS.0, READS.1);
    let changes = Rule::new("ec2:*", Act::Throttle).bucket(CHANGES.0, CHANGES.1).changes();
    let rules = [reads, changes].map(|rule| gateway.rules().add(rule.access_key(place.key())));
    let (stack, begun) = (place.stack(), Instant::now());
    place.run(&stack).unwrap();
    let took = begun.elapsed();
    assert_eq!(place.left(&stack).unwrap(), Vec::<String>::new());
    let refused = rules.iter().map(|rule| gateway.rules().acted(*rule)).sum();
    rules.into_iter().for_each(|rule| assert!(gateway.rules().remove(rule)));
    (refused, took)
}

#[test]
fn taking_turns_at_an_api_fewer_calls_are_refused() {
    let host = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let options = Options { pending: Pending::all(Duration::from_millis(100)), ..Options::default() };
    let sandbox = Arc::new(host.block_on(Sandbox::start(options)).unwrap());
    // An HTTP client that is given is used as it is, without turns.
    let plain = aws_smithy_http_client::Builder::new().build_http();
    let (without, usual) = applied(&sandbox, 1, Some(plain));
    let (with, took) = applied(&sandbox, 2, None);
    println!("{without} calls refused in {usual:?} without turns, {with} in {took:?} with turns");
    assert!(without > 0, "the buckets were never empty");
    assert!(with < without, "{with} calls were refused, {without} without turns");
    host.block_on(Arc::into_inner(sandbox).unwrap().stop());
}
