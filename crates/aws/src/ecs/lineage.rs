//! Which revisions of a task definition a service ran, and what they are: to find the way back.
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListServiceDeployments.html>

use super::{Ecs, from_tags};
use crate::Call;
use aws_sdk_ecs::types::{ServiceDeploymentStatus, TaskDefinitionField, TaskDefinitionStatus};
use causeway_core::{Error, error::Found};
use std::collections::BTreeMap;

/// As many service revisions as one call takes.
const MOST_REVISIONS: usize = 20;

/// A deployment that came to its good end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The ARN of the revision that it was of.
    pub task_definition: String,
    /// When it ended, in seconds since 1970.
    pub at: i64,
}

/// A revision of a task definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The ARN.
    pub arn: String,
    /// Whether new tasks may run it.
    pub is_active: bool,
    /// The image of each container.
    pub images: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Ecs {
    /// The deployments of a service that came to a good end, as far back as ECS tells (90 days).
    ///
    /// # Errors
    /// When ECS cannot be asked.
    pub async fn completed(&self, cluster: &str, service: &str) -> Result<Vec<Completed>, Error> {
        let mut ended: Vec<(String, i64)> = vec![];
        let mut next = None;
        loop {
            let call = self
                .list_service_deployments()
                .cluster(cluster)
                .service(service)
                .status(ServiceDeploymentStatus::Successful)
                .set_next_token(next);
            let Some(page) = call.send().await.call("ecs:ListServiceDeployments").found()? else { break };
            ended.extend(page.service_deployments().iter().filter_map(|d| {
                let at = d.finished_at().or(d.created_at())?.secs();
                Some((d.target_service_revision_arn()?.to_owned(), at))
            }));
            next = page.next_token.filter(|t| !t.is_empty());
            if next.is_none() {
                break;
            }
        }
        let mut out = vec![];
        for some in ended.chunks(MOST_REVISIONS) {
            let arns = some.iter().map(|(arn, _)| arn.clone()).collect();
            let call = self.describe_service_revisions().set_service_revision_arns(Some(arns));
            let found = call.send().await.call("ecs:DescribeServiceRevisions")?;
            let definition = |arn: &str| {
                let found = found.service_revisions().iter().find(|r| r.service_revision_arn() == Some(arn));
                found.and_then(|r| r.task_definition()).map(str::to_owned)
            };
            out.extend(
                some.iter()
                    .filter_map(|(arn, at)| Some(Completed { task_definition: definition(arn)?, at: *at })),
            );
        }
        Ok(out)
    }

    /// Looks a revision up, by its ARN. `None` where there is none of that number.
    ///
    /// # Errors
    /// When ECS cannot be asked.
    pub async fn revision(&self, arn: &str) -> Result<Option<Revision>, Error> {
        let call = self.describe_task_definition().task_definition(arn).include(TaskDefinitionField::Tags);
        let found = match call.send().await {
            // ECS says `ClientException` where others say that there is no such thing.
            Err(e) if e.as_service_error().is_some_and(|e| e.is_client_exception()) => return Ok(None),
            found => found.call("ecs:DescribeTaskDefinition")?,
        };
        let tags = from_tags(found.tags()).0;
        Ok(found.task_definition().map(|definition| Revision {
            arn: definition.task_definition_arn().unwrap_or(arn).to_owned(),
            is_active: definition.status() == Some(&TaskDefinitionStatus::Active),
            images: definition
                .container_definitions()
                .iter()
                .filter_map(|c| Some((c.name()?.to_owned(), c.image()?.to_owned())))
                .collect(),
            tags,
        }))
    }
}

/// The number of a revision, from its ARN or from `family:number`.
pub fn number(revision: &str) -> Option<u32> {
    revision.rsplit_once(':')?.1.parse().ok()
}

/// What there is to go back to from the revision with the number `from`: earlier ones, those that completed last come
/// first, each once.
pub fn candidates(completed: &[Completed], from: u32) -> Vec<String> {
    let mut earlier: Vec<&Completed> =
        completed.iter().filter(|c| number(&c.task_definition).is_some_and(|n| n < from)).collect();
    earlier.sort_by_key(|c| std::cmp::Reverse((c.at, number(&c.task_definition))));
    let mut out: Vec<String> = vec![];
    for one in earlier {
        if !out.contains(&one.task_definition) {
            out.push(one.task_definition.clone());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(at: i64, number: u32) -> Completed {
        Completed { task_definition: format!("arn:aws:ecs:r:0:task-definition/coder:{number}"), at }
    }

    #[test]
    fn the_way_back_is_the_one_that_ran_last_and_not_the_number_before() {
        // Revision 4 never completed, and 2 was gone back to before 5 was made.
        let all = [at(1, 1), at(2, 2), at(3, 3), at(4, 2), at(5, 5)];
        let back = candidates(&all, 5);
        let numbers: Vec<_> = back.iter().map(|r| number(r).unwrap()).collect();
        assert_eq!(numbers, [2, 3, 1]);
        assert_eq!(candidates(&all, 1), Vec::<String>::new());
    }
}
