//! AWS ids as types of their own, so that a wrong reference does not compile.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! ids {
    ($($(#[$m:meta])* $name:ident),* $(,)?) => {$(
        $(#[$m])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);
        impl $name {
            /// The text that the API takes.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                $name(id.to_owned())
            }
        }
        impl From<String> for $name {
            fn from(id: String) -> Self {
                $name(id)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    )*};
}

ids! {
    /// Any ARN: `arn:aws:service:region:account:resource`.
    Arn,
    /// `vpc-..`
    VpcId,
    /// `subnet-..`
    SubnetId,
    /// `igw-..`
    InternetGatewayId,
    /// `rtb-..`
    RouteTableId,
    /// `nat-..`
    NatGatewayId,
    /// `eni-..`
    NetworkInterfaceId,
    /// `eipalloc-..`
    AllocationId,
    /// `ami-..`
    ImageId,
    /// `i-..`
    InstanceId,
    /// `lt-..`
    LaunchTemplateId,
    /// `vpce-..`
    VpcEndpointId,
    /// `fl-..`
    FlowLogId,
    /// `pl-..`
    PrefixListId,
    /// `sg-..`
    SecurityGroupId,
    /// `sgr-..`
    SecurityGroupRuleId,
    /// A Route 53 hosted zone, without `/hostedzone/`.
    HostedZoneId,
    /// A KMS key id (a UUID).
    KeyId,
}

/// The key that a service gave back, written as it was wanted if it is the same one: some give the key's id where they
/// were given its ARN. Empty where we want one and there is none.
#[allow(dead_code, reason = "not every service takes a key")]
pub(crate) fn key_as_wanted(
    wanted: Option<&causeway_core::Value<Arn>>,
    live: Option<&str>,
) -> Option<causeway_core::Value<Arn>> {
    let live = live.unwrap_or_default();
    match wanted {
        None if live.is_empty() => None,
        Some(causeway_core::Value::Known(arn))
            if !live.is_empty() && arn.0.ends_with(&format!("/{live}")) =>
        {
            Some(arn.clone().into())
        }
        _ => Some(Arn::from(live).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::Value;

    #[test]
    fn a_key_is_recognised_by_its_id() {
        let arn = Value::Known(Arn::from("arn:aws:kms:us-east-1:1:key/abc"));
        assert_eq!(key_as_wanted(Some(&arn), Some("abc")), Some(arn.clone()));
        assert_eq!(key_as_wanted(Some(&arn), Some("bc")), Some(Value::Known("bc".into())));
        assert_eq!(key_as_wanted(Some(&arn), None), Some(Value::Known("".into())));
        assert_eq!(key_as_wanted(None, Some("")), None);
        assert_eq!(key_as_wanted(None, Some("abc")), Some(Value::Known("abc".into())));
    }
}
