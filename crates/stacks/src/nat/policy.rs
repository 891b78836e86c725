//! What a NAT instance may do: take its interface and its address, and what its agents need.

use super::FckNat;
use causeway_aws::policy::{PolicyDocument, Statement};
use causeway_core::{Value, text};

/// The policy of its role. `parameter` is the ARN of the agent's configuration.
///
/// Accounts are left open in ARNs: a role reaches nothing of another account's.
pub(super) fn document(nat: &FckNat, region: &str, parameter: Option<Value<String>>) -> PolicyDocument {
    let named = |sid: &str, statement: Statement| Statement { sid: Some(sid.to_owned()), ..statement };
    let own =
        |statement: Statement| statement.when("StringEquals", "ec2:ResourceTag/Name", [nat.name.as_str()]);
    let interface = ["ec2:AttachNetworkInterface", "ec2:ModifyNetworkInterfaceAttribute"];
    let mut statements = vec![named("ManageNetworkInterface", own(Statement::allow(interface, ["*"])))];
    if let Some(id) = &nat.allocation_id {
        let address = ["ec2:AssociateAddress", "ec2:DisassociateAddress"];
        let arn: Value<String> = text!("arn:aws:ec2:", region, ":*:elastic-ip/", id);
        statements.push(named("ManageEIPAllocation", Statement::allow(address, [arn])));
        let interfaces = format!("arn:aws:ec2:{region}:*:network-interface/*");
        let on_own = own(Statement::allow(address, [Value::Known(interfaces)]));
        statements.push(named("ManageEIPNetworkInterface", on_own));
    }
    if let Some(parameter) = parameter {
        let read = Statement::allow(["ssm:GetParameter"], [parameter]);
        statements.push(named("CWAgentSSMParameter", read));
    }
    if let Some(agent) = &nat.agent {
        let put = Statement::allow(["cloudwatch:PutMetricData"], ["*"]);
        let put = put.when("StringEquals", "cloudwatch:namespace", [agent.namespace.as_str()]);
        statements.push(named("CWAgentMetrics", put));
    }
    if nat.session_manager {
        let session = [
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
            "ssm:UpdateInstanceInformation",
        ];
        statements.push(named("SessionManager", Statement::allow(session, ["*"])));
    }
    PolicyDocument::new(statements)
}
