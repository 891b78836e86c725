//! A secret of Secrets Manager in several stages: what is in force, what was before, and what is to come.
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html>

use aws_config::SdkConfig;
use causeway_aws::{Aws, Call, Region};
use causeway_core::{Error, Secret, error::Found};
use causeway_litellm::{Stage, Vault, Version};
use futures::future::BoxFuture;

/// One secret.
pub(crate) struct Staged {
    aws: Aws,
    /// Its name or ARN.
    secret: String,
}

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

impl Staged {
    pub(crate) fn new(sdk: &SdkConfig, region: &str, secret: &str) -> Self {
        Staged { aws: Aws::new(sdk, &Region::new(region)), secret: secret.to_owned() }
    }
}

impl Vault for Staged {
    fn at(&self, stage: Stage) -> BoxFuture<'_, Result<Option<Version>, Error>> {
        let label = match stage {
            Stage::Current => CURRENT,
            Stage::Previous => "AWSPREVIOUS",
            Stage::Pending => PENDING,
        };
        Box::pin(async move {
            let call = self.aws.secretsmanager.get_secret_value().secret_id(&self.secret);
            let found = call.version_stage(label).send().await.call("secretsmanager:GetSecretValue");
            // A secret without the stage is as one that is not there.
            let Some(found) = found.found()? else { return Ok(None) };
            let value = found.secret_string.unwrap_or_default();
            Ok(found.version_id.map(|id| Version { id, value: Secret::new(value) }))
        })
    }

    fn keep<'a>(&'a self, value: &'a Secret) -> BoxFuture<'a, Result<String, Error>> {
        Box::pin(async move {
            let mut bytes = [0u8; 16];
            getrandom::fill(&mut bytes)
                .map_err(|e| Error::Invalid(format!("the operating system gives no random bytes: {e}")))?;
            // It becomes the id of the version, so that a call that is sent again makes one.
            let token = hex::encode(bytes);
            let put = self.aws.secretsmanager.put_secret_value().secret_id(&self.secret);
            let put = put.client_request_token(&token).secret_string(value.expose()?).version_stages(PENDING);
            let kept = put.send().await.call("secretsmanager:PutSecretValue")?;
            Ok(kept.version_id.unwrap_or(token))
        })
    }

    fn promote<'a>(&'a self, id: &'a str, instead_of: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            // AWS refuses when another one is in force by now, and moves AWSPREVIOUS itself.
            let call = self.aws.secretsmanager.update_secret_version_stage().secret_id(&self.secret);
            let call = call.version_stage(CURRENT).move_to_version_id(id);
            let call = call.set_remove_from_version_id(instead_of.map(str::to_owned));
            call.send().await.call("secretsmanager:UpdateSecretVersionStage").map(drop)
        })
    }
}
