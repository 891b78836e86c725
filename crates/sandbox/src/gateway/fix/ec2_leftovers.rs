//! Moto keeps the network interface of a deleted NAT gateway, with its address, and that of a terminated instance.
//! They would hold subnets, groups and addresses for ever.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;
use crate::gateway::route::Scope;
use crate::gateway::xml::Element;

pub(super) const INFO: FixInfo = FixInfo {
    name: "ec2_leftovers",
    service: "ec2",
    operations: &["DeleteNatGateway", "TerminateInstances"],
    why: "moto leaves the interfaces of deleted NAT gateways and terminated instances, and keeps the address associated; AWS removes them",
};

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let scope = request.scope.clone();
        let gateway = request.param("NatGatewayId");
        let instances = request.params("InstanceId.");
        // A deleted gateway does not say any more what it had.
        let before = match &gateway {
            Some(id) => {
                state.query(&scope, "ec2", "DescribeNatGateways", &[("NatGatewayId.1", id)]).await.ok()
            }
            None => None,
        };
        let answer = next.run(request).await;
        if !answer.status.is_success() {
            return answer;
        }
        let interfaces: Vec<String> =
            before.iter().flat_map(|root| root.all("networkInterfaceId")).map(Element::text).collect();
        remove_interfaces(state, &scope, &instances).await;
        if gateway.is_some()
            && let Ok(root) = state.query(&scope, "ec2", "DescribeAddresses", &[]).await
        {
            for address in root.all("addressesSet").into_iter().flat_map(Element::elements) {
                let own = address.get("networkInterfaceId").is_some_and(|id| interfaces.contains(&id));
                if let (true, Some(association)) = (own, address.get("associationId")) {
                    let _ = state
                        .query(&scope, "ec2", "DisassociateAddress", &[("AssociationId", &association)])
                        .await;
                }
            }
        }
        for interface in &interfaces {
            if let Err(refused) = state
                .query(&scope, "ec2", "DeleteNetworkInterface", &[("NetworkInterfaceId", interface)])
                .await
            {
                tracing::warn!(status = %refused.status, interface, "moto kept a left-over interface");
            }
        }
        answer
    })
}

/// Removes the first interface of each of these instances, which are terminated, and with it what is associated.
pub(super) async fn remove_interfaces(state: &State, scope: &Scope, instances: &[String]) {
    if instances.is_empty() {
        return;
    }
    let Ok(root) = state.query(scope, "ec2", "DescribeNetworkInterfaces", &[]).await else { return };
    for interface in root.all("networkInterfaceSet").into_iter().flat_map(Element::elements) {
        let own = interface.get("attachment/instanceId").is_some_and(|id| instances.contains(&id));
        if own && interface.get("description").as_deref() == Some("Primary network interface") {
            // A refusal leaves the interface, which is what moto does anyway.
            let attachment = interface.get("attachment/attachmentId").unwrap_or_default();
            let detach = [("AttachmentId", attachment.as_str())];
            let _ = state.query(scope, "ec2", "DetachNetworkInterface", &detach).await;
            let id = interface.get("networkInterfaceId").unwrap_or_default();
            let delete = [("NetworkInterfaceId", id.as_str())];
            if let Err(refused) = state.query(scope, "ec2", "DeleteNetworkInterface", &delete).await {
                tracing::warn!(status = %refused.status, interface = id, "moto kept a left-over interface");
            }
        }
    }
}
