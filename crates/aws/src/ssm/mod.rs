//! Systems Manager: the parameter store.

mod parameter;

pub use parameter::{Parameter, ParameterOutputs, ParameterRefs, ParameterValue};

use crate::{Aws, Call};
use aws_config::SdkConfig;
use aws_sdk_ssm::{
    operation::describe_parameters::{DescribeParametersOutput, builders::DescribeParametersFluentBuilder},
    types::{
        ParameterMetadata, ParameterStringFilter, ResourceTypeForTagging,
        builders::ParameterStringFilterBuilder,
    },
};
use causeway_core::{Error, Tags, coalesce::Coalesce, error::Found, registry::ProviderKinds};
use std::ops::Deref;

/// Speaks to Systems Manager.
pub struct Ssm {
    api: aws_sdk_ssm::Client,
    /// What is known of parameters beside their values, by name.
    pub(crate) parameters: Coalesce<String, ParameterMetadata>,
    /// Values, decrypted, by name.
    pub(crate) values: Coalesce<String, String>,
}

impl Ssm {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        /// Names in one filter, and answers in one page.
        const MOST: usize = 50;
        /// Names in one call for values.
        const VALUES: usize = 10;
        let api = crate::client::client!(aws_sdk_ssm, config);
        let (described, read) = (api.clone(), api.clone());
        let parameters = Coalesce::new(MOST, move |names| {
            let request = described.describe_parameters();
            async move {
                let filter = ParameterStringFilter::builder().key("Name").option("Equals");
                let found = describe(request, filter.set_values(Some(names.into_iter().collect()))).await?;
                Ok(found.into_iter().filter_map(|p| Some((p.name.clone()?, p))).collect())
            }
        });
        let values = Coalesce::new(VALUES, move |names| {
            let request = read.get_parameters().with_decryption(true);
            async move {
                let found = request.set_names(Some(names.into_iter().collect())).send().await;
                let found = found.call("ssm:GetParameters")?.parameters.unwrap_or_default();
                Ok(found.into_iter().filter_map(|p| Some((p.name?, p.value?))).collect())
            }
        });
        Ssm { api, parameters, values }
    }

    /// The tags of the parameter `name`.
    pub(crate) async fn tags(&self, name: &str) -> Result<Tags, Error> {
        let of = ResourceTypeForTagging::Parameter;
        let found = self.list_tags_for_resource().resource_type(of).resource_id(name).send().await;
        let found = found.call("ssm:ListTagsForResource").found()?;
        let tags = found.and_then(|found| found.tag_list).unwrap_or_default();
        Ok(Tags::live(tags.into_iter().map(|tag| (tag.key, tag.value))))
    }

    /// The names and tags of all parameters that carry the tag of `stack`.
    pub(crate) async fn tagged(&self, stack: &str) -> Result<Vec<(String, Tags)>, Error> {
        let filter = ParameterStringFilter::builder().key(format!("tag:{}", Tags::STACK)).values(stack);
        let found = describe(self.describe_parameters(), filter).await?;
        let mut all = vec![];
        for name in found.into_iter().filter_map(|parameter| parameter.name) {
            let tags = self.tags(&name).await?;
            all.push((name, tags));
        }
        Ok(all)
    }
}

/// All parameters that pass.
async fn describe(
    request: DescribeParametersFluentBuilder,
    filter: ParameterStringFilterBuilder,
) -> Result<Vec<ParameterMetadata>, Error> {
    let filter = filter.build().map_err(|e| Error::Invalid(format!("a filter of parameters: {e}")))?;
    let pages = request.parameter_filters(filter).max_results(50).into_paginator().send().try_collect();
    let pages: Vec<DescribeParametersOutput> = pages.await.call("ssm:DescribeParameters")?;
    Ok(pages.into_iter().flat_map(|page| page.parameters.unwrap_or_default()).collect())
}

impl Deref for Ssm {
    type Target = aws_sdk_ssm::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<Parameter>()
}
