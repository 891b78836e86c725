//! Where secrets are.

use aws_config::SdkConfig;
use causeway_aws::{Aws, Region, id::Arn};
use causeway_core::{Class, Error, Secret};
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

/// A secret that is not there.
#[derive(Debug)]
struct Missing {
    name: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "there is no secret `{}`", self.name)
    }
}

impl std::error::Error for Missing {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}

impl Vault for InSecretsManager {
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Secret, Error>> {
        self.password(name)
    }
}

impl Passwords for InSecretsManager {
    fn password<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Secret, Error>> {
        Box::pin(async move {
            let found = self.of(name).secretsmanager.value(&Arn::from(name)).await;
            found.map_err(|error| match error {
                // Secrets Manager does not say which.
                Error::Call { call, class: Class::NotFound, source } => {
                    let source = Box::new(Missing { name: name.to_owned(), source });
                    Error::Call { call, class: Class::NotFound, source }
                }
                other => other,
            })
        })
    }

    fn previous<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, Error>> {
        Box::pin(async move { self.of(name).secretsmanager.previous(&Arn::from(name)).await })
    }
}
