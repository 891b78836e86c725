//! `unpinned-version`: `latest`, which is something else each time that somebody looks.

use causeway_core::{guard::Rules, lint::Breach, wanted::Wanted};

const LATEST: &str = "latest";

pub(super) fn judge(wanted: &[Wanted], _: &Rules) -> Vec<Breach> {
    wanted.iter().flat_map(unpinned).collect()
}

#[allow(unused_mut, unused_variables, reason = "with few features nothing is looked at")]
fn unpinned(w: &Wanted) -> Vec<Breach> {
    let mut out = vec![];
    #[cfg(feature = "ecs")]
    if let Some(task) = w.spec::<crate::ecs::TaskDefinition>() {
        for container in &task.container_definitions {
            if let Some(why) = super::tail(&container.image).as_deref().and_then(image) {
                out.push(Breach::of(w, format!("container_definitions.{}.image", container.name), why, TAG));
            }
        }
    }
    #[cfg(feature = "ecr")]
    {
        let tags = [
            w.spec::<crate::ecr::Image>().map(|image| image.tag),
            w.spec::<crate::ecr::ExistingImage>().map(|image| image.tag),
        ];
        if tags.into_iter().flatten().any(|tag| tag == LATEST) {
            out.push(Breach::of(w, "tag", MOVES, TAG));
        }
    }
    #[cfg(feature = "eks")]
    {
        let versions = [
            w.spec::<crate::eks::Addon>().and_then(|addon| addon.version.get().ok().cloned()),
            w.spec::<crate::eks::AddonVersion>().and_then(|addon| addon.version),
        ];
        if versions.into_iter().flatten().any(|version| version == LATEST) {
            let remedy = "name a version; `aws eks describe-addon-versions` shows them";
            out.push(Breach::of(w, "version", MOVES, remedy));
        }
    }
    out
}

const MOVES: &str = "is `latest`, which is something else after the next push";
const TAG: &str = "name the tag of a release, or a digest";

/// What is wrong with an image that is called so, or whose name ends so.
#[cfg(feature = "ecs")]
fn image(name: &str) -> Option<String> {
    // Nothing, where it ends with what is not known yet.
    if name.is_empty() || name.contains('@') {
        return None;
    }
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.rsplit_once(':') {
        Some((_, LATEST)) => Some(MOVES.to_owned()),
        None if !name.starts_with(':') => Some(format!("has no tag in `{name}`, which means `latest`")),
        _ => None,
    }
}

#[cfg(all(test, feature = "ecs"))]
mod tests {
    use super::image;

    #[test]
    fn an_image_is_known_by_its_tag_or_its_digest() {
        for good in
            ["ghcr.io/coder/coder:v2.28.3", "host:5000/a/b:1", "a/b@sha256:0", "a:latest@sha256:0", ":v1"]
        {
            assert_eq!(image(good), None, "{good}");
        }
        assert!(image("ghcr.io/coder/coder:latest").unwrap().contains("is `latest`"));
        assert!(image(":latest").is_some(), "after an address that is not known yet");
        assert!(image("").is_none(), "before a digest that is not known yet");
        assert!(image("host:5000/coder/coder").unwrap().contains("has no tag"));
    }
}
