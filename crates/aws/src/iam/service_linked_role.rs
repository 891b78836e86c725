//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceLinkedRole.html>

use crate::{Aws, Call, id::Arn};
use causeway_core::{Cx, Error, Live, Owner, Recovery, Resource, Status, diff::Diff, outputs};
use serde::{Deserialize, Serialize};

/// The role that a service acts as in this account, where the service does not make it by itself: EC2 Spot wants it
/// before anybody but the owner of the account may ask for spot instances.
///
/// It belongs to the account: it is the same whoever made it, and stays when nobody wants it any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServiceLinkedRole {
    /// Like `spot.amazonaws.com`.
    pub service: String,
}

outputs! {
    /// What a service-linked role tells others.
    pub struct ServiceLinkedRoleOutputs => ServiceLinkedRoleRefs {
        /// `arn:aws:iam::..:role/aws-service-role/..`
        pub arn: Arn,
    }
}

impl Resource for ServiceLinkedRole {
    const KIND: &'static str = "aws.iam.service_linked_role";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["service"]);
    const REPLACE: &'static [&'static str] = &["service"];
    const RETAIN: bool = true;
    type Client = Aws;
    type Outputs = ServiceLinkedRoleOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let path = format!("/aws-service-role/{}/", self.service);
        let roles = cx.client.iam.list_roles().path_prefix(path).send().await.call("iam:ListRoles")?.roles;
        Ok(roles.into_iter().next().map(|role| Live {
            spec: self.clone(),
            outputs: ServiceLinkedRoleOutputs { arn: role.arn.into() },
            status: Status::Ready,
            owner: Owner::Anybody,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let create = cx.client.iam.create_service_linked_role().aws_service_name(&self.service);
        create.send().await.call("iam:CreateServiceLinkedRole").map(drop)
    }

    async fn update(&self, _: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}
