//! Who we are towards AWS, and for how long.

use crate::{
    cli::Global,
    document::Cloud,
    failure::{Code, Failure},
    mfa,
    screen::Screen,
    session::environment,
};
use aws_config::SdkConfig;
use aws_credential_types::{Credentials, provider::ProvideCredentials};
use causeway_aws::preflight::Session;
use causeway_config::File;
use causeway_core::error::chain;
use std::time::{Duration, SystemTime};

/// Longer than every sound way to credentials takes, and than a person waits.
const LIMIT: Duration = Duration::from_secs(20);

/// What to do without credentials, or with some that are not taken.
pub(crate) const HINT: &str = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; `aws sts get-caller-identity` \
                               must work, and the region must be enabled; `--sandbox` needs no account";

/// The configuration of all clients, with the credentials of the environment or, where a device is named, of a session
/// that it vouches for; and how long those last.
///
/// # Errors
/// There are no credentials, or no session.
pub(crate) async fn config(
    global: &Global,
    region: &str,
    screen: &Screen,
) -> Result<(SdkConfig, Session), Failure> {
    let config = causeway_aws::sdk_config().await;
    let own = tokio::time::timeout(LIMIT, found(&config)).await;
    let own = own.unwrap_or_else(|_| Err(format!("nothing answered within {} s", LIMIT.as_secs())));
    let own = own.map_err(|why| {
        Failure::new(Code::Unavailable, format!("there are no AWS credentials: {why}")).hint(HINT)
    })?;
    let Some(serial) = &global.mfa_serial else { return Ok((config, lasting(&own))) };
    let (config, end) = mfa::session(&config, &own, serial, region, global, screen).await?;
    Ok((config, Session::Ends(left(end))))
}

async fn found(config: &SdkConfig) -> Result<Credentials, String> {
    let provider = config.credentials_provider().ok_or("none are configured")?;
    provider.provide_credentials().await.map_err(|e| chain(&e))
}

/// Whether these are of the account that the configuration is for, if it says so. A sandbox stands for any.
///
/// # Errors
/// They are of another one.
pub(crate) fn are_for(file: &File, cloud: &Cloud) -> Result<(), Failure> {
    match &file.config.stack.account {
        Some(wanted) if *wanted != cloud.account && !cloud.sandbox => {
            let why = format!(
                "the credentials are for account {}, and the configuration is for {wanted}; nothing was changed",
                cloud.account
            );
            let hint = "set AWS_PROFILE to that account, or correct `account` under [stack]";
            Err(Failure::usage(why).hint(hint))
        }
        _ => Ok(()),
    }
}

/// How long `credentials` last.
fn lasting(credentials: &Credentials) -> Session {
    // The AWS CLI exports it beside the keys, and the SDK does not read it.
    let exported = || environment("AWS_CREDENTIAL_EXPIRATION")?.parse::<jiff::Timestamp>().ok();
    match (credentials.session_token(), credentials.expiry()) {
        (None, _) => Session::LongLived,
        // Whatever tells the SDK an end is asked again before that.
        (Some(_), Some(_)) => Session::Renewed,
        (Some(_), None) => match exported() {
            Some(end) => Session::Ends(left(end.into())),
            None => Session::Untold,
        },
    }
}

fn left(end: SystemTime) -> Duration {
    end.duration_since(SystemTime::now()).unwrap_or_default()
}
