//! The storage class that volumes are made of where they name none. The driver itself is an add-on of EKS.
//! <https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/parameters.md>

use crate::{objects::Objects, rbac::named};
use causeway_core::{Address, Stack, Value};
use k8s_openapi::{api::storage::v1::StorageClass, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use std::collections::BTreeMap;

/// What volumes are made of.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The key of KMS that they are encrypted with. `None`: the account's own for EBS.
    pub key_arn: Option<Value<String>>,
    /// Tags of each of them, beside those of the driver, which do not say of which cluster they are.
    /// <https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/tagging.md>
    pub tags: BTreeMap<String, String>,
}

/// What the class is called.
pub const CLASS: &str = "gp3";

/// Adds the class.
pub fn add(stack: &mut Stack, settings: &Settings) -> Vec<Address> {
    let mut parameters =
        BTreeMap::from([("type", "gp3"), ("encrypted", "true")].map(|(k, v)| (k.into(), v.into())));
    parameters.extend(settings.key_arn.as_ref().map(|key| ("kmsKeyId".to_owned(), key.inline())));
    let tags = settings.tags.iter().enumerate();
    parameters.extend(tags.map(|(i, (k, v))| (format!("tagSpecification_{}", i + 1), format!("{k}={v}"))));
    let class = StorageClass {
        metadata: ObjectMeta {
            annotations: Some(BTreeMap::from([(
                "storageclass.kubernetes.io/is-default-class".into(),
                "true".into(),
            )])),
            ..named(None, CLASS)
        },
        provisioner: "ebs.csi.aws.com".into(),
        parameters: Some(parameters),
        reclaim_policy: Some("Delete".into()),
        // A volume lives in one zone: where the pod is decides which.
        volume_binding_mode: Some("WaitForFirstConsumer".into()),
        allow_volume_expansion: Some(true),
        ..StorageClass::default()
    };
    let mut objects = Objects::after(stack, []);
    objects.add(CLASS, &class);
    objects.all()
}
