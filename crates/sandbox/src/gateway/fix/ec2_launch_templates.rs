//! Moto writes the tags of a launch template into what its machines are tagged with, and shows it with the tags that it
//! was made with, whatever became of them.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;
use crate::gateway::xml::{Element, Node};

pub(super) const INFO: FixInfo = FixInfo {
    name: "ec2_launch_templates",
    service: "ec2",
    operations: &["DescribeLaunchTemplates", "DescribeLaunchTemplateVersions", "CreateLaunchTemplateVersion"],
    why: "moto shows the first tags of a template, and as tag specifications of its data; AWS shows what it has as tags",
};

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let scope = request.scope.clone();
        let mut answer = next.run(request).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status.is_success()
            && let Some(mut root) = Element::parse(&text)
        {
            root.walk_mut(&mut without_own_tags);
            if root.child("launchTemplates").is_some() {
                let filter = [("Filter.1.Name", "resource-type"), ("Filter.1.Value.1", "launch-template")];
                if let Ok(tags) = state.query(&scope, "ec2", "DescribeTags", &filter).await {
                    root.walk_mut(&mut |template| with_tags(template, &tags));
                }
            }
            answer.body = root.document().into();
        }
        answer
    })
}

fn without_own_tags(element: &mut Element) {
    if element.name == "tagSpecificationSet" {
        let own = |item: &Element| item.get("resourceType").as_deref() == Some("launch-template");
        element.children.retain(|node| !matches!(node, Node::Element(item) if own(item)));
    }
}

fn with_tags(template: &mut Element, tags: &Element) {
    let Some(id) = template.child("launchTemplateId").map(Element::text) else { return };
    let mut set = Element::new("tagSet");
    let items = tags.all("tagSet").into_iter().flat_map(Element::elements);
    for item in items.filter(|item| item.get("resourceId").as_deref() == Some(id.as_str())) {
        let text = |name| item.get(name).unwrap_or_default();
        let tag = Element::new("item").with_text("key", &text("key"));
        set = set.with(tag.with_text("value", &text("value")));
    }
    template.children.retain(|node| !matches!(node, Node::Element(child) if child.name == "tagSet"));
    template.children.push(Node::Element(set));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_the_template_are_left_out() {
        let item = |of: &str| Element::new("item").with_text("resourceType", of);
        let mut set =
            Element::new("tagSpecificationSet").with(item("launch-template")).with(item("instance"));
        without_own_tags(&mut set);
        assert_eq!(set, Element::new("tagSpecificationSet").with(item("instance")));
    }
}
