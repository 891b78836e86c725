//! The sandbox as the engine and as a client see it; tests are kept apart by account.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use causeway_aws::{Aws, Region};
use causeway_core::Registry;

/// The region of all tests.
pub(crate) const REGION: &str = "us-east-1";

/// What all clients start from.
pub(crate) async fn config(account: &str) -> SdkConfig {
    let sandbox = causeway_sandbox::shared().unwrap_or_else(|e| panic!("{}", causeway_core::error::chain(e)));
    let (key, secret) = sandbox.credentials(account).expect("an account has twelve digits");
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(sandbox.endpoint())
        .credentials_provider(Credentials::new(key, secret, None, None, "sandbox"))
        .retry_config(causeway_aws::retries())
        .region(aws_config::Region::new(REGION))
        .load()
        .await
}

/// All AWS kinds, in an account of the sandbox.
pub(crate) async fn registry(account: &str) -> Registry {
    let mut registry = Registry::new();
    causeway_aws::register(&mut registry, config(account).await);
    registry
}

/// A client beside the engine.
pub(crate) async fn client(account: &str) -> Aws {
    Aws::new(&config(account).await, &Region::new(REGION))
}
