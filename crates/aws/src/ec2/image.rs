//! Looks which machine image to start from:
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html>

use super::lookup::filter;
use crate::{Aws, Call, id::ImageId};
use aws_sdk_ec2::types;
use causeway_core::{Cx, Error, Live, Owner, Recovery, Resource, Status, diff::Diff, outputs};
use serde::{Deserialize, Serialize};

/// The newest image of an owner that fits, or one that is named. Only looked at.
///
/// It is looked for while planning. When the owner publishes a newer one, the next plan shows what changes with it, and
/// nothing changes before that is applied; with `pin` it stays the same until `pin` is changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Image {
    /// The account of the owner, or `amazon`, `self`.
    pub owner: String,
    /// Its name, with `*` and `?` for what differs: `fck-nat-al2023-hvm-*`.
    pub name: String,
    /// `arm64` or `x86_64`.
    pub architecture: String,
    /// This image and no other; owner, name and architecture must still fit it.
    #[serde(default)]
    pub pin: Option<ImageId>,
}

outputs! {
    /// What an image tells others.
    pub struct ImageOutputs => ImageRefs {
        /// `ami-..`
        pub image_id: ImageId,
        /// Its full name, which often holds its version.
        pub name: String,
        /// When it was made, like `2025-08-01T12:00:00.000Z`.
        pub creation_date: String,
        /// Its root disk, like `/dev/xvda`.
        pub root_device_name: String,
    }
}

impl Resource for Image {
    const KIND: &'static str = "aws.ec2.image";
    const RECOVERY: Recovery = Recovery::Observed;
    type Client = Aws;
    type Outputs = ImageOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let mut filters = vec![
            filter("name", [&self.name]),
            filter("architecture", [&self.architecture]),
            filter("state", ["available"]),
            filter("virtualization-type", ["hvm"]),
        ];
        filters.extend(self.pin.iter().map(|id| filter("image-id", [id.as_str()])));
        // Deprecated ones are left out, unless they are one's own.
        let images = cx.client.ec2.describe_images().owners(&self.owner).set_filters(Some(filters));
        let images = images.into_paginator().items().send().try_collect().await;
        let images: Vec<types::Image> = images.call("ec2:DescribeImages")?;
        Ok(newest(&images).map(|image| Live {
            spec: self.clone(),
            outputs: ImageOutputs {
                image_id: image.image_id().unwrap_or_default().into(),
                name: image.name().unwrap_or_default().to_owned(),
                creation_date: image.creation_date().unwrap_or_default().to_owned(),
                root_device_name: image.root_device_name().unwrap_or_default().to_owned(),
            },
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let Image { owner, name, architecture, pin } = self;
        let region = &cx.client.region;
        Err(Error::Invalid(match pin {
            Some(id) => format!(
                "{id} is no image `{name}` of {owner} for {architecture} in {region}, or it was withdrawn: pin another"
            ),
            None => format!(
                "{owner} has no image `{name}` for {architecture} in {region}: name one by its id, or copy one there"
            ),
        }))
    }

    async fn update(&self, _: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}

/// Of those that start from EBS. Dates are written so that they sort as text; where two are of one time, the id decides.
fn newest(images: &[types::Image]) -> Option<&types::Image> {
    let on_ebs = images.iter().filter(|i| i.root_device_type() == Some(&types::DeviceType::Ebs));
    on_ebs.max_by_key(|i| (i.creation_date().unwrap_or_default(), i.image_id().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_on_ebs_is_taken() {
        let image = |id: &str, date: &str, root: types::DeviceType| {
            types::Image::builder().image_id(id).creation_date(date).root_device_type(root).build()
        };
        let images = [
            image("ami-1", "2024-12-31T00:00:00.000Z", types::DeviceType::Ebs),
            image("ami-2", "2025-01-02T00:00:00.000Z", types::DeviceType::Ebs),
            image("ami-3", "2025-01-03T00:00:00.000Z", types::DeviceType::InstanceStore),
        ];
        assert_eq!(newest(&images).unwrap().image_id(), Some("ami-2"));
        assert!(newest(&images[2..]).is_none());
    }
}
