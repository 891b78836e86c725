//! Whether the image is there, and was built for the processor that the task asks for.

use super::{Finding, Preflight};
use crate::{
    Aws, Call,
    ecr::{ExistingImage, Image, Layout, Repository, RepositoryOutputs},
    ecs::TaskDefinition,
};
use aws_sdk_ecr::types::ImageIdentifier;
use causeway_core::{Error, error::Found, error::chain, finding::Verdict, value::references};
use serde::Deserialize;
use std::collections::BTreeSet;

/// What ECR is asked for: it converts nothing, and hides what is not named here.
const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let mut findings = vec![];
    for (_, image, _) in preflight.all::<Image>() {
        findings.push(pushed(&image, wanted_architecture(preflight)));
    }
    for (wanted, image, aws) in preflight.all::<ExistingImage>() {
        if wanted.outputs.is_none() {
            let name = image.repository.get().map_or("the repository", String::as_str);
            let answer = format!("there is none in ECR of {}", aws.region);
            let asked = format!("whether there is an image {name}:{}", image.tag);
            findings.push(Finding::failed(asked, answer, PUSH));
        }
    }
    for (_, task, aws) in preflight.all::<TaskDefinition>() {
        for container in &task.container_definitions {
            if let Ok(name) = container.image.get() {
                findings.extend(in_registry(preflight, &task, aws, name).await?);
            } else if is_into_nothing(preflight, &container.image) {
                let asked = format!("whether the image of the container {} is there", container.name);
                let answer =
                    "this plan makes its repository, so that nothing can be in it, and pushes nothing";
                findings.push(Finding::failed(asked, answer, PUSH));
            }
        }
    }
    Ok(findings)
}

const PUSH: &str = "name a folder with the image as `source` under [ecs.image], or push it: `deploy apply --only registry` \
                    makes the repository";

/// Whether the image comes from a repository that is to be made, and nobody pushes any.
fn is_into_nothing(preflight: &Preflight, image: &causeway_core::Value<String>) -> bool {
    let mut from = BTreeSet::new();
    references(&serde_json::to_value(image).unwrap_or_default(), &mut from);
    let made =
        preflight.around::<Repository>().any(|(w, _)| w.outputs.is_none() && from.contains(&w.address));
    let looked_up = preflight.around::<ExistingImage>().next().is_some();
    made && !looked_up && preflight.around::<Image>().next().is_none()
}

/// What container tools call the processor of the tasks.
fn wanted_architecture(preflight: &Preflight) -> Option<&'static str> {
    preflight.around::<TaskDefinition>().find_map(|(_, task)| architecture(&task))
}

fn architecture(task: &TaskDefinition) -> Option<&'static str> {
    match task.runtime_platform.as_ref()?.cpu_architecture.as_str() {
        "X86_64" => Some("amd64"),
        "ARM64" => Some("arm64"),
        _ => None,
    }
}

/// An image that this stack pushes from a folder.
fn pushed(image: &Image, wanted: Option<&str>) -> Finding {
    let asked = format!("whether the image in {} fits", image.source);
    let layout = Layout::open(&image.source).and_then(|layout| Ok((layout.architectures()?, layout)));
    let (built_for, layout) = match layout {
        Ok(found) => found,
        Err(e) => return Finding::failed(asked, chain(&e), "copy the image into the folder again"),
    };
    if layout.digest() != image.digest {
        let answer = format!("it holds {} now, and {} was planned", layout.digest(), image.digest);
        return Finding::failed(asked, answer, "plan again");
    }
    fits(asked, &image.digest, &built_for, wanted)
}

/// An image that has to be in ECR already.
async fn in_registry(
    preflight: &Preflight,
    task: &TaskDefinition,
    aws: &Aws,
    name: &str,
) -> Result<Option<Finding>, Error> {
    let asked = format!("whether the image {} is there and fits", short(name));
    let ours = preflight.around::<Repository>().filter_map(|(w, _)| w.outputs::<Repository>());
    let ours: Vec<_> = ours.collect();
    let Some(image) =
        ours.iter().find_map(|r| Named::within(r, name, &aws.region)).or_else(|| Named::of(name))
    else {
        let remedy = "make sure that it is, and that the tasks may pull it";
        return Ok(Some(Finding::not_asked(asked, "it is in a registry that is not ECR", remedy)));
    };
    // What this stack pushes was looked at where it comes from.
    if preflight.around::<Image>().any(|(_, pushed)| pushed.digest == image.digest)
        || image.region != aws.region
    {
        return Ok(None);
    }
    let id = ImageIdentifier::builder().image_digest(image.digest).build();
    let get =
        aws.ecr.batch_get_image().registry_id(image.registry).repository_name(image.repository).image_ids(id);
    let found = get.set_accepted_media_types(Some(MEDIA_TYPES.map(str::to_owned).into())).send().await;
    let found = found.call("ecr:BatchGetImage").found()?;
    let manifest =
        found.and_then(|f| f.images.unwrap_or_default().into_iter().find_map(|i| i.image_manifest));
    let Some(manifest) = manifest else {
        let remedy =
            "push it, correct `digest` under [ecs.image], or name a folder with the image as `source`";
        return Ok(Some(Finding::failed(asked, "ECR does not have it", remedy)));
    };
    let wanted = architecture(task);
    Ok(Some(match serde_json::from_str::<Index>(&manifest) {
        Ok(Index { manifests }) if !manifests.is_empty() => {
            let built_for: Vec<String> = manifests
                .into_iter()
                .filter_map(|m| m.platform?.architecture)
                .filter(|a| a != "unknown")
                .collect();
            fits(asked, image.digest, &built_for, wanted)
        }
        _ => Finding::not_asked(
            asked,
            "it is there; for which processor it was built stands in a layer, which was not fetched",
            format!(
                "make sure that it is for {}: `docker buildx imagetools inspect`",
                wanted.unwrap_or("the task")
            ),
        ),
    }))
}

/// What a manifest has that is for several processors.
#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<OfPlatform>,
}

#[derive(Deserialize)]
struct OfPlatform {
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: Option<String>,
}

fn fits(asked: String, digest: &str, built_for: &[String], wanted: Option<&str>) -> Finding {
    let digest = short(digest);
    let Some(wanted) = wanted else { return Finding::passed(asked, format!("{digest} is there")) };
    match built_for {
        [] => {
            let remedy = format!("make sure that it is for {wanted}");
            Finding {
                verdict: Verdict::NotAsked,
                ..Finding::failed(asked, "it does not say for which processor it is", remedy)
            }
        }
        all if all.iter().any(|a| a == wanted) => {
            Finding::passed(asked, format!("{digest} is for {}", all.join(" and ")))
        }
        all => Finding::failed(
            asked,
            format!(
                "it is for {}, and the task runs on {wanted}: it would end with \"exec format error\"",
                all.join(" and ")
            ),
            "set `architecture` under [ecs.service], or build the image for the other processor",
        ),
    }
}

/// A digest, or a name that ends with one, as people tell it from others.
fn short(name: &str) -> &str {
    let end = name.find("sha256:").map_or(name.len(), |at| (at + 7 + 12).min(name.len()));
    &name[..end]
}

/// An image of ECR by its digest.
#[derive(Debug, PartialEq)]
struct Named<'a> {
    registry: &'a str,
    region: &'a str,
    repository: &'a str,
    digest: &'a str,
}

impl<'a> Named<'a> {
    /// An image in a repository of this stack.
    fn within(repository: &'a RepositoryOutputs, name: &'a str, region: &'a str) -> Option<Self> {
        let digest = name.strip_prefix(&repository.repository_uri)?.strip_prefix('@')?;
        Some(Named { registry: &repository.registry_id, region, repository: &repository.name, digest })
    }

    /// `account.dkr.ecr.region.amazonaws.com/repository@sha256:..`
    fn of(name: &'a str) -> Option<Self> {
        let (host, rest) = name.split_once('/')?;
        let (repository, digest) = rest.split_once('@')?;
        match host.split('.').collect::<Vec<_>>()[..] {
            [registry, "dkr", "ecr", region, ..] => Some(Named { registry, region, repository, digest }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_to_be_for_the_processor_of_the_task() {
        let verdict = |built_for: &[&str], wanted| {
            let built_for: Vec<String> = built_for.iter().map(ToString::to_string).collect();
            fits(String::new(), "sha256:0123456789abcdef", &built_for, wanted).verdict
        };
        assert_eq!(verdict(&["amd64"], Some("amd64")), Verdict::Passed);
        assert_eq!(verdict(&["arm64", "amd64"], Some("amd64")), Verdict::Passed);
        assert_eq!(verdict(&["arm64"], Some("amd64")), Verdict::Failed);
        assert_eq!(verdict(&[], Some("amd64")), Verdict::NotAsked);
        assert_eq!(verdict(&[], None), Verdict::Passed);
    }

    #[test]
    fn a_name_is_taken_apart() {
        let image = Named::of("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/coder@sha256:0").unwrap();
        assert_eq!((image.registry, image.region), ("123456789012", "us-east-1"));
        assert_eq!((image.repository, image.digest), ("team/coder", "sha256:0"));
        assert_eq!(Named::of("ghcr.io/coder/coder@sha256:0"), None);
        assert_eq!(short("x@sha256:0123456789abcdef"), "x@sha256:0123456789ab");
        assert_eq!(short("x:v1"), "x:v1");
    }
}
