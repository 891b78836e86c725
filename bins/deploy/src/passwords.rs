//! Where the passwords of databases are.

use aws_config::SdkConfig;
use causeway_aws::{Aws, Region, id::Arn};
use causeway_core::{Error, Secret};
use causeway_postgres::Passwords;
use futures::future::BoxFuture;

/// Passwords are called by the ARNs of their secrets.
pub(crate) struct InSecretsManager(pub(crate) SdkConfig);

impl InSecretsManager {
    /// Speaks to the region that the ARN names: `arn:aws:secretsmanager:us-east-2:123456789012:secret:..`.
    fn of(&self, name: &str) -> Result<Aws, Error> {
        let region = name.split(':').nth(3).filter(|region| !region.is_empty());
        let region = region.ok_or_else(|| Error::Invalid(format!("`{name}` is not the ARN of a secret")))?;
        Ok(Aws::new(&self.0, &Region::new(region)))
    }
}

impl Passwords for InSecretsManager {
    fn password<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Secret, Error>> {
        Box::pin(async move { self.of(name)?.secretsmanager.value(&Arn::from(name)).await })
    }

    fn previous<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, Error>> {
        Box::pin(async move { self.of(name)?.secretsmanager.previous(&Arn::from(name)).await })
    }
}
