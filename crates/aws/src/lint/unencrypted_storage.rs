//! `unencrypted-storage`: what is written down in plain. Buckets, images, logs, parameters and secrets are not here: their
//! services encrypt them whatever is asked for.

use causeway_core::{guard::Rules, lint::Breach, wanted::Wanted};

pub(super) fn judge(wanted: &[Wanted], _: &Rules) -> Vec<Breach> {
    wanted.iter().flat_map(plain).collect()
}

/// The fields that leave something unencrypted.
#[allow(unused_mut, unused_variables, reason = "with few features nothing is looked at")]
fn plain(w: &Wanted) -> Vec<Breach> {
    let mut out = vec![];
    #[cfg(feature = "rds")]
    if let Some(database) = w.spec::<crate::rds::Instance>()
        && database.storage_encrypted != Some(true)
    {
        let why = "is not set: the database and its backups would not be encrypted";
        out.push(Breach::of(w, "storage_encrypted", why, "set it, which later means another instance"));
    }
    #[cfg(feature = "elasticache")]
    if let Some(cache) = w.spec::<crate::elasticache::ReplicationGroup>()
        && cache.at_rest_encryption_enabled != Some(true)
    {
        let why = "is not set: what the cache writes to disk would not be encrypted";
        out.push(Breach::of(w, "at_rest_encryption_enabled", why, "set it, which later means another cache"));
    }
    #[cfg(feature = "ec2")]
    if let Some(template) = w.spec::<crate::ec2::LaunchTemplate>() {
        for disk in template.block_device_mappings.iter().filter(|disk| !disk.encrypted) {
            let field = format!("block_device_mappings.{}.encrypted", disk.device_name);
            out.push(Breach::of(w, field, "is not set: the disk would not be encrypted", "set it"));
        }
    }
    #[cfg(feature = "sqs")]
    if let Some(queue) = w.spec::<crate::sqs::Queue>()
        && queue.sqs_managed_sse_enabled == Some(false)
        && queue.kms_master_key_id.is_none()
    {
        let why = "is off, and there is no key of KMS: messages would not be encrypted";
        out.push(Breach::of(w, "sqs_managed_sse_enabled", why, "leave it out, or name a key"));
    }
    out
}
