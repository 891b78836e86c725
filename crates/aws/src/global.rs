//! What belongs to no region, and is asked for once for all of them.

use crate::sts::Caller;
#[cfg(feature = "iam")]
use crate::{TagIndex, iam::Listing};
use aws_config::SdkConfig;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// The lists of IAM, the index of its tags, and who deploys, where that is known.
#[derive(Clone)]
pub(crate) struct Global {
    pub(crate) caller: Option<Caller>,
    #[cfg(feature = "iam")]
    pub(crate) listing: Listing,
    #[cfg(feature = "iam")]
    pub(crate) tag_index: TagIndex,
}

impl Global {
    pub(crate) fn new(config: &SdkConfig, region: &str, caller: Option<Caller>) -> Self {
        let config = config
            .to_builder()
            .region(aws_config::Region::new(home(region)))
            .http_client(crate::pace::http_client(config))
            .build();
        let _ = &config;
        Global {
            caller,
            #[cfg(feature = "iam")]
            listing: Listing::new(&config),
            #[cfg(feature = "iam")]
            tag_index: TagIndex::new(&config),
        }
    }
}

/// One [`Global`] for every partition, made when it is first needed.
pub(crate) struct Globals {
    made: Mutex<BTreeMap<&'static str, Global>>,
    caller: Option<Caller>,
}

impl Globals {
    /// For the credentials of `caller`, if that is known.
    pub(crate) fn new(caller: Option<Caller>) -> Self {
        Globals { made: Mutex::default(), caller }
    }

    /// That of the partition of `region`.
    pub(crate) fn of(&self, config: &SdkConfig, region: &str) -> Global {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry(home(region)).or_insert_with(|| Global::new(config, region, self.caller.clone())).clone()
    }
}

/// The region that the index counts things to that are in none.
/// <https://docs.aws.amazon.com/tag-editor/latest/userguide/supported-resources.html>
fn home(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "cn-north-1",
        region if region.starts_with("us-gov-") => "us-gov-west-1",
        _ => "us-east-1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_a_home() {
        assert_eq!(home("eu-west-2"), "us-east-1");
        assert_eq!(home("cn-northwest-1"), "cn-north-1");
        assert_eq!(home("us-gov-east-1"), "us-gov-west-1");
    }
}
