//! What controllers add to Kubernetes, with the fields that we set and no others.

mod cert_manager;
mod elbv2;
mod karpenter;
mod monitoring;

pub use cert_manager::*;
pub use elbv2::*;
pub use karpenter::*;
pub use monitoring::*;

/// `apiVersion`, `kind` and where it lives, as the types of `k8s-openapi` have them.
macro_rules! custom_resource {
    ($(#[$doc:meta])* $kind:ident { $group:literal / $version:literal, $plural:literal, $scope:ident, $spec:ty }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        pub struct $kind {
            /// Its name, and where it lives.
            pub metadata: ::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
            /// What is wanted.
            pub spec: $spec,
        }
        impl ::k8s_openapi::Resource for $kind {
            const API_VERSION: &'static str = concat!($group, "/", $version);
            const GROUP: &'static str = $group;
            const KIND: &'static str = stringify!($kind);
            const VERSION: &'static str = $version;
            const URL_PATH_SEGMENT: &'static str = $plural;
            type Scope = ::k8s_openapi::$scope;
        }
        impl ::k8s_openapi::Metadata for $kind {
            type Ty = ::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
            fn metadata(&self) -> &Self::Ty {
                &self.metadata
            }
            fn metadata_mut(&mut self) -> &mut Self::Ty {
                &mut self.metadata
            }
        }
    };
}
use custom_resource;

/// A struct of a spec: camel case, and nothing that is not set.
macro_rules! spec {
    ($($(#[$doc:meta])* struct $name:ident { $($(#[$field_doc:meta])* $field:ident : $type:ty,)* })+) => {
        $($(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $($(#[$field_doc])* #[serde(skip_serializing_if = "crate::custom::is_unset")] pub $field: $type,)*
        })+
    };
}
use spec;

/// Whether there is nothing to be sent: `null`, or an empty list, map or text.
fn is_unset<T: serde::Serialize>(value: &T) -> bool {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::Null) => true,
        Ok(serde_json::Value::Array(items)) => items.is_empty(),
        Ok(serde_json::Value::String(text)) => text.is_empty(),
        _ => false,
    }
}
