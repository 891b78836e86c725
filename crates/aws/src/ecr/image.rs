//! An image that is pushed into a repository:
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html>.

use super::{
    Ecr,
    layout::{Descriptor, Layout, LayoutError, Parts},
};
use crate::{Aws, Call};
use aws_sdk_ecr::{primitives::Blob, types::LayerAvailability};
use causeway_core::{
    Class, Cx, Error, Live, Owner, Recovery, Resource, Status, Timing, Value, diff::Diff, outputs,
};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// An image from a folder in OCI layout, under a tag. Blobs that the repository has are not sent again, so a push that
/// broke off goes on where it was.
///
/// It stays in the repository when it is wanted no more: an older revision may still run it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Image {
    /// Name of the repository.
    pub repository: Value<String>,
    /// The tag, which moves when another digest is pushed under it.
    pub tag: String,
    /// The digest of the image in `source`.
    pub digest: String,
    /// The folder. Where it is says nothing about the image, so it is not compared.
    pub source: String,
}

outputs! {
    /// What an image tells others.
    pub struct ImageOutputs => ImageRefs {
        /// `sha256:..`
        pub digest: String,
    }
}

impl Resource for Image {
    const KIND: &'static str = "aws.ecr.image";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["repository", "tag"]);
    const REPLACE: &'static [&'static str] = &["repository", "tag"];
    const MOVES: &'static [&'static str] = &["digest"];
    const RETAIN: bool = true;
    const TIMING: Timing = Timing::seconds(60, 2, 1800);
    type Client = Aws;
    type Outputs = ImageOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let digest = cx.client.ecr.digest(self.repository.get()?, &self.tag).await?;
        Ok(digest.map(|digest| Live {
            spec: Image { digest: digest.clone(), ..self.clone() },
            outputs: ImageOutputs { digest },
            status: Status::Ready,
            owner: Owner::Anybody,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let layout = Layout::open(&self.source).map_err(unreadable)?;
        if layout.digest() != self.digest {
            return Err(Error::Invalid(format!(
                "{} holds {} now, and {} was planned; plan again",
                self.source,
                layout.digest(),
                self.digest
            )));
        }
        let push = Push { ecr: &cx.client.ecr, repository: self.repository.get()?, layout: &layout };
        push.manifest(layout.top(), Some(&self.tag)).await
    }

    async fn update(&self, cx: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        self.create(cx).await
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}

fn unreadable(error: LayoutError) -> Error {
    Error::Call { call: "reading the image", class: Class::Final, source: Box::new(error) }
}

struct Push<'a> {
    ecr: &'a Ecr,
    repository: &'a str,
    layout: &'a Layout,
}

impl Push<'_> {
    /// What it needs goes first: a registry refuses a manifest whose parts it does not have.
    fn manifest<'s>(&'s self, of: &'s Descriptor, tag: Option<&'s str>) -> BoxFuture<'s, Result<(), Error>> {
        Box::pin(async move {
            match self.layout.parts(of).map_err(unreadable)? {
                Parts::Manifests(all) => {
                    for one in &all {
                        self.manifest(one, None).await?;
                    }
                }
                Parts::Blobs(all) => self.blobs(&all).await?,
            }
            let text = String::from_utf8(self.layout.bytes(of).map_err(unreadable)?)
                .map_err(|_| Error::Invalid(format!("the manifest {} is not text", of.digest)))?;
            let put = self.ecr.put_image().repository_name(self.repository).image_manifest(text);
            let put = put.image_manifest_media_type(&of.media_type).image_digest(&of.digest);
            let answer = put.set_image_tag(tag.map(str::to_owned)).send().await;
            match answer {
                Err(e) if e.as_service_error().is_some_and(|e| e.is_image_already_exists_exception()) => {
                    Ok(())
                }
                answer => answer.call("ecr:PutImage").map(drop),
            }
        })
    }

    async fn blobs(&self, all: &[Descriptor]) -> Result<(), Error> {
        // The call takes 100 digests.
        for some in all.chunks(100) {
            let check = self.ecr.batch_check_layer_availability().repository_name(self.repository);
            let digests = some.iter().map(|d| d.digest.clone()).collect();
            let found = check.set_layer_digests(Some(digests)).send().await;
            let found = found.call("ecr:BatchCheckLayerAvailability")?;
            let there = |d: &&Descriptor| {
                found.layers().iter().any(|l| {
                    l.layer_digest() == Some(&d.digest)
                        && l.layer_availability() == Some(&LayerAvailability::Available)
                })
            };
            for blob in some.iter().filter(|d| !there(d)) {
                self.blob(blob).await?;
            }
        }
        Ok(())
    }

    async fn blob(&self, of: &Descriptor) -> Result<(), Error> {
        let bytes = self.layout.bytes(of).map_err(unreadable)?;
        let begun = self.ecr.initiate_layer_upload().repository_name(self.repository).send().await;
        let begun = begun.call("ecr:InitiateLayerUpload")?;
        let id = begun.upload_id().unwrap_or_default();
        // ECR says how large a part should be; all but the last must be.
        let size =
            begun.part_size().and_then(|s| usize::try_from(s).ok()).filter(|s| *s > 0).unwrap_or(10 << 20);
        for (i, part) in bytes.chunks(size).enumerate() {
            let first = i * size;
            let upload = self.ecr.upload_layer_part().repository_name(self.repository).upload_id(id);
            let upload = upload.part_first_byte(offset(first)).part_last_byte(offset(first + part.len() - 1));
            upload.layer_part_blob(Blob::new(part)).send().await.call("ecr:UploadLayerPart")?;
        }
        let complete = self.ecr.complete_layer_upload().repository_name(self.repository).upload_id(id);
        match complete.layer_digests(&of.digest).send().await {
            Err(e) if e.as_service_error().is_some_and(|e| e.is_layer_already_exists_exception()) => Ok(()),
            answer => answer.call("ecr:CompleteLayerUpload").map(drop),
        }
    }
}

fn offset(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
