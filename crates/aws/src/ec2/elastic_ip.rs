//! A public address that stays: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AllocateAddress.html>

use super::{BY_TAG, live_tags, lookup::Described, tagged};
use crate::{Aws, Call, id::AllocationId};
use aws_sdk_ec2::{
    Client,
    error::ProvideErrorMetadata,
    types::{self, DomainType, Filter, ResourceType, Tag},
};
use causeway_core::{
    ClaimedBy, Class, Cx, Error, Live, Recovery, Resource, Status, Tags, Timing,
    diff::Diff,
    outputs,
    undo::{Mark, UndoRule},
};
use serde::{Deserialize, Serialize};

/// A public IPv4 address of our own. Once released it is lost; a new one will be another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ElasticIp {
    /// Tags; `Name` is what the console shows.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What an address tells others.
    pub struct ElasticIpOutputs => ElasticIpRefs {
        /// `eipalloc-..`
        pub allocation_id: AllocationId,
        /// The address.
        pub public_ip: String,
    }
}

impl Resource for ElasticIp {
    const KIND: &'static str = "aws.ec2.elastic_ip";
    const RECOVERY: Recovery = BY_TAG;
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("allocation_id");
    const UNDO: &'static [UndoRule] =
        &[UndoRule::remove(Mark::Irreversible, "the address goes back to AWS, and the next one is another")];
    const TIMING: Timing = Timing::seconds(2, 2, 600);
    type Client = Aws;
    type Outputs = ElasticIpOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let recorded = cx.recorded.as_ref().map(|o| o.allocation_id.as_str());
        let found = cx.client.ec2.addresses.find(recorded, cx.instance).await?;
        Ok(found.as_ref().map(live))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        cx.client
            .ec2
            .allocate_address()
            .domain(DomainType::Vpc)
            .set_tag_specifications(tagged(ResourceType::ElasticIp, &self.tags))
            .send()
            .await
            .call("ec2:AllocateAddress")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let id = live.outputs.allocation_id.as_str();
        cx.client.ec2.retag(id, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let id = live.outputs.allocation_id.as_str();
        let released = cx.client.ec2.release_address().allocation_id(id).send().await;
        // While a NAT gateway that is just gone still holds the address, the API says so with this code. Missing
        // permissions are `UnauthorizedOperation`, and wrong credentials would not have come this far.
        let held = released.as_ref().is_err_and(|e| e.code() == Some("AuthFailure"));
        match released.call("ec2:ReleaseAddress") {
            Err(Error::Call { call, source, .. }) if held => {
                Err(Error::Call { call, class: Class::NotNow, source })
            }
            answer => answer.map(drop),
        }
    }
}

impl Described for types::Address {
    const ID: &'static str = "allocation-id";
    fn id(&self) -> Option<&str> {
        self.allocation_id()
    }
    fn tags(&self) -> &[Tag] {
        self.tags()
    }
    async fn describe(api: &Client, filters: Vec<Filter>) -> Result<Vec<Self>, Error> {
        let request = api.describe_addresses().set_filters(Some(filters));
        let found = request.send().await.call("ec2:DescribeAddresses")?;
        Ok(found.addresses.unwrap_or_default())
    }
}

fn live(address: &types::Address) -> Live<ElasticIp> {
    let tags = live_tags(address.tags());
    Live {
        outputs: ElasticIpOutputs {
            allocation_id: address.allocation_id().unwrap_or_default().into(),
            public_ip: address.public_ip().unwrap_or_default().to_owned(),
        },
        status: Status::Ready,
        owner: tags.owner(),
        spec: ElasticIp { tags },
    }
}
