//! Who deploys, as others are told of it: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

use crate::{Aws, Call, id::Arn};
use causeway_core::{Cx, Error, Live, Owner, Recovery, Resource, Status, diff::Diff, outputs};
use serde::{Deserialize, Serialize};

/// The role or the user that deploys. Only looked at.
///
/// Another one in the next run is another answer, and a change of what is made from it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Deployer {}

outputs! {
    /// What is told of who deploys.
    pub struct DeployerOutputs => DeployerRefs {
        /// `arn:aws:iam::..:role/..` or `arn:aws:iam::..:user/..`: of a session, the role that it is one of.
        pub arn: Arn,
    }
}

/// What credentials are of.
#[derive(Debug, PartialEq)]
enum Principal<'a> {
    /// Itself, as IAM names it.
    Itself(String),
    /// A session of the role of this name. Its path is not told.
    Session(&'a str),
    /// What has no role and is no user.
    Neither,
}

fn principal(arn: &str) -> Principal<'_> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, _, _, account, of] = parts[..] else { return Principal::Neither };
    match of.split_once('/') {
        Some(("assumed-role", rest)) => Principal::Session(rest.split('/').next().unwrap_or_default()),
        Some(("user", _)) => Principal::Itself(format!("arn:{partition}:iam::{account}:{of}")),
        _ if of == "root" => Principal::Itself(arn.to_owned()),
        _ => Principal::Neither,
    }
}

impl Resource for Deployer {
    const KIND: &'static str = "aws.iam.deployer";
    const RECOVERY: Recovery = Recovery::Observed;
    type Client = Aws;
    type Outputs = DeployerOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let Some(caller) = cx.client.sts.caller().await? else { return Ok(None) };
        let arn = match principal(&caller.arn) {
            Principal::Itself(arn) => Some(arn),
            Principal::Session(role) => of_role(cx, role).await?,
            Principal::Neither => None,
        };
        Ok(arn.map(|arn| Live {
            spec: self.clone(),
            outputs: DeployerOutputs { arn: arn.into() },
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, _: &Cx<'_, Self>) -> Result<(), Error> {
        Err(Error::Invalid(
            "these credentials are of no role and no user, so that nobody can be told who deploys; deploy as a role"
                .into(),
        ))
    }

    async fn update(&self, _: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}

/// With its path, which the name of a session does not have. A list shows it too, as nobody can give a role another one.
async fn of_role(cx: &Cx<'_, Deployer>, role: &str) -> Result<Option<String>, Error> {
    let iam = &cx.client.iam;
    if cx.is_survey()
        && let Some(arn) = iam.listing.role(role, false).await?.and_then(|listed| listed.detail.arn)
    {
        return Ok(Some(arn));
    }
    let found = iam.get_role().role_name(role).send().await.call("iam:GetRole")?;
    Ok(found.role.map(|role| role.arn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_of_a_role_and_a_user_is_itself() {
        let session = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0123/ann";
        assert_eq!(principal(session), Principal::Session("AWSReservedSSO_Admin_0123"));
        let user = "arn:aws-us-gov:iam::123456789012:user/team/ann";
        assert_eq!(principal(user), Principal::Itself(user.into()));
        let root = "arn:aws:iam::123456789012:root";
        assert_eq!(principal(root), Principal::Itself(root.into()));
        for other in ["arn:aws:sts::123456789012:federated-user/ann", "", "arn:aws:sts::1:x"] {
            assert_eq!(principal(other), Principal::Neither);
        }
    }
}
