//! Where secrets are.

use aws_config::SdkConfig;
use causeway_aws::{Aws, Region, id::Arn};
use causeway_core::{Error, Secret};
use causeway_k8s::Vault;
use causeway_postgres::Passwords;
use futures::future::BoxFuture;

/// Secrets are called by their ARNs, or by their names in the stack's own region.
pub(crate) struct InSecretsManager {
    pub(crate) sdk: SdkConfig,
    /// The stack's own.
    pub(crate) region: String,
}

impl InSecretsManager {
    /// Speaks to the region that the ARN names: `arn:aws:secretsmanager:us-east-2:123456789012:secret:..`.
    fn of(&self, name: &str) -> Aws {
        let named = name.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2));
        let region = named.filter(|region| !region.is_empty()).unwrap_or(&self.region);
        Aws::new(&self.sdk, &Region::new(region))
    }
}

impl Vault for InSecretsManager {
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Secret, Error>> {
        self.password(name)
    }
}

impl Passwords for InSecretsManager {
    fn password<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Secret, Error>> {
        Box::pin(async move { self.of(name).secretsmanager.value(&Arn::from(name)).await })
    }

    fn previous<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, Error>> {
        Box::pin(async move { self.of(name).secretsmanager.previous(&Arn::from(name)).await })
    }
}
