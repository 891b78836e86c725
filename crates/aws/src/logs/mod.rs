//! CloudWatch Logs.

mod log_group;
mod tail;

pub use log_group::{LogGroup, LogGroupOutputs, LogGroupRefs};
pub use tail::{Event, Page, Tail};

use crate::Aws;
use aws_config::SdkConfig;
use causeway_core::registry::ProviderKinds;
use std::ops::Deref;

/// Speaks to CloudWatch Logs.
pub struct Logs {
    api: aws_sdk_cloudwatchlogs::Client,
}

impl Logs {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Logs { api: crate::client::client!(aws_sdk_cloudwatchlogs, config) }
    }
}
impl Deref for Logs {
    type Target = aws_sdk_cloudwatchlogs::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<LogGroup>()
}
