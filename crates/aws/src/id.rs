//! AWS ids as types of their own, so that a wrong reference does not compile.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! ids {
    ($($(#[$m:meta])* $name:ident),* $(,)?) => {$(
        $(#[$m])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// `sg-..`
    SecurityGroupId,
    /// `sgr-..`
    SecurityGroupRuleId,
    /// A Route 53 hosted zone, without `/hostedzone/`.
    HostedZoneId,
    /// A KMS key id (a UUID).
    KeyId,
}
