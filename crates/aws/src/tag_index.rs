//! The index of all tags of a region: <https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html>
//!
//! Many services tell the tags of one thing at a time; the index tells those of a hundred. It hears of changes after a
//! while, so it is never believed when it says something new: it only saves a survey the calls that would find what the
//! last apply left. Without the permission to ask it, every thing is asked for, as if there were no index.

use crate::{Call, id::Arn};
use aws_config::SdkConfig;
use aws_sdk_resourcegroupstagging::Client;
use causeway_core::{Cx, Error, Owner, Resource, Tags, coalesce::Coalesce};
use std::collections::{BTreeMap, BTreeSet};

/// As many ARNs as one call takes.
const MOST: usize = 100;

/// Asks the index of one region.
#[derive(Clone)]
pub struct TagIndex(Coalesce<String, Tags>);

impl TagIndex {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_resourcegroupstagging, config);
        TagIndex(Coalesce::new(MOST, move |arns| by_arn(api.clone(), arns)))
    }

    /// `recorded`, if this is a survey and the index has exactly these tags for the thing at `arn`, which it knew as
    /// ours. `None`: ask the service.
    pub(crate) async fn confirms<R: Resource>(
        &self,
        cx: &Cx<'_, R>,
        arn: Option<&Arn>,
        recorded: &Tags,
    ) -> Option<Tags> {
        let ours = matches!(recorded.owner(), Owner::Tagged { instance, .. } if instance == cx.instance);
        let arn = arn.filter(|_| ours && cx.is_survey())?;
        match self.0.get(arn.0.clone()).await {
            Ok(indexed) => indexed.filter(|indexed| indexed == recorded),
            Err(error) => {
                tracing::debug!(
                    error = causeway_core::error::chain(&error),
                    "the index of tags did not answer"
                );
                None
            }
        }
    }
}

async fn by_arn(api: Client, arns: BTreeSet<String>) -> Result<BTreeMap<String, Tags>, Error> {
    let found = api.get_resources().set_resource_arn_list(Some(arns.into_iter().collect())).send().await;
    let found = found.call("tag:GetResources")?.resource_tag_mapping_list.unwrap_or_default();
    let tags = found.into_iter().filter_map(|one| {
        let tags = one.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value));
        Some((one.resource_arn?, Tags::live(tags)))
    });
    Ok(tags.collect())
}
