//! Looks which image a tag names:
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html>.

use crate::Aws;
use causeway_core::{Cx, Error, Live, Owner, Recovery, Resource, Status, Value, diff::Diff, outputs};
use serde::{Deserialize, Serialize};

/// An image that somebody else pushes. Only looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExistingImage {
    /// Name of the repository.
    pub repository: Value<String>,
    /// The tag.
    pub tag: String,
}

outputs! {
    /// What it tells others.
    pub struct ExistingImageOutputs => ExistingImageRefs {
        /// `sha256:..`
        pub digest: String,
    }
}

impl Resource for ExistingImage {
    const KIND: &'static str = "aws.ecr.existing_image";
    const RECOVERY: Recovery = Recovery::Observed;
    type Client = Aws;
    type Outputs = ExistingImageOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let digest = cx.client.ecr.digest(self.repository.get()?, &self.tag).await?;
        Ok(digest.map(|digest| Live {
            spec: self.clone(),
            outputs: ExistingImageOutputs { digest },
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let (repository, tag, region) = (self.repository.get()?, &self.tag, &cx.client.region);
        Err(Error::Invalid(format!(
            "there is no image `{repository}:{tag}` in ECR of {region}: push it, or name a folder with it as `source`"
        )))
    }

    async fn update(&self, _: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}
