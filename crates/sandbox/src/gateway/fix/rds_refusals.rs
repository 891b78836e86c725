//! What AWS refuses and moto accepts of databases, and moto's `ModifyDBSubnetGroup`, which deletes the group, so that
//! its instances tell of the group as it was.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;
use crate::gateway::xml::Element;

pub(super) const INFO: FixInfo = FixInfo {
    name: "rds_refusals",
    service: "rds",
    operations: &[
        "CreateDBSubnetGroup",
        "ModifyDBSubnetGroup",
        "DeleteDBSubnetGroup",
        "CreateDBInstance",
        "DeleteDBInstance",
        "DescribeDBInstances",
    ],
    why: "moto's ModifyDBSubnetGroup deletes the group, of which its instances then tell as it was; it overwrites groups, deletes used ones, takes any class and version, and deletes instances without asking for a final snapshot",
};

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let early = match request.operation.name.as_str() {
            "CreateDBSubnetGroup" => exists(state, &request).await,
            "ModifyDBSubnetGroup" => Some(modify(state, &request).await),
            "DeleteDBSubnetGroup" => used(state, &request).await,
            "CreateDBInstance" => unknown(&request),
            "DescribeDBInstances" => return with_groups(state, request, next).await,
            _ => delete(state, &request).await,
        };
        match early {
            Some(answer) => answer,
            None => next.run(request).await,
        }
    })
}

async fn group(state: &State, request: &Request) -> Option<Element> {
    let name = request.param("DBSubnetGroupName")?;
    let own = [("DBSubnetGroupName", name.as_str())];
    let root = state.query(&request.scope, "rds", "DescribeDBSubnetGroups", &own).await.ok()?;
    root.all("DBSubnetGroup").first().map(|group| (*group).clone())
}

/// Instances, with their subnet groups as those are now.
async fn with_groups(state: &State, request: Request, next: Next<'_>) -> Answer {
    let scope = request.scope.clone();
    let mut answer = next.run(request).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.status.is_success()
        && let Some(mut root) = Element::parse(&text)
        && let Ok(groups) = state.query(&scope, "rds", "DescribeDBSubnetGroups", &[]).await
    {
        let groups = groups.all("DBSubnetGroup");
        root.walk_mut(&mut |told| {
            let name = told.get("DBSubnetGroupName").filter(|_| told.name == "DBSubnetGroup");
            let now = groups.iter().find(|group| name.is_some() && group.get("DBSubnetGroupName") == name);
            if let Some(now) = now {
                told.children = now.children.clone();
            }
        });
        answer.body = root.document().into();
    }
    answer
}

async fn exists(state: &State, request: &Request) -> Option<Answer> {
    group(state, request).await.map(|_| {
        let message = format!(
            "The DB subnet group '{}' already exists.",
            request.param("DBSubnetGroupName").unwrap_or_default()
        );
        request.refuse(400, "DBSubnetGroupAlreadyExists", &message)
    })
}

/// Creates the group once more, which overwrites it in moto, with what it was and what is new.
async fn modify(state: &State, request: &Request) -> Answer {
    let name = request.param("DBSubnetGroupName").unwrap_or_default();
    let Some(group) = group(state, request).await else {
        return request.refuse(
            404,
            "DBSubnetGroupNotFoundFault",
            &format!("DB subnet group '{name}' not found."),
        );
    };
    let description = request
        .param("DBSubnetGroupDescription")
        .or_else(|| group.get("DBSubnetGroupDescription"))
        .unwrap_or_default();
    let mut own =
        vec![("DBSubnetGroupName".to_owned(), name), ("DBSubnetGroupDescription".to_owned(), description)];
    own.extend(request.form().into_iter().filter(|(key, _)| key.starts_with("SubnetIds.")));
    let arn = group.get("DBSubnetGroupArn").unwrap_or_default();
    if let Ok(tags) =
        state.query(&request.scope, "rds", "ListTagsForResource", &[("ResourceName", &arn)]).await
    {
        for (index, tag) in tags.all("Tag").into_iter().enumerate() {
            let number = index + 1;
            own.push((format!("Tags.Tag.{number}.Key"), tag.get("Key").unwrap_or_default()));
            own.push((format!("Tags.Tag.{number}.Value"), tag.get("Value").unwrap_or_default()));
        }
    }
    let own: Vec<(&str, &str)> = own.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    match state.query(&request.scope, "rds", "CreateDBSubnetGroup", &own).await {
        Ok(root) => {
            let text = root.document().replace("CreateDBSubnetGroup", "ModifyDBSubnetGroup");
            Answer::new(http::StatusCode::OK, "text/xml", text)
        }
        Err(refused) => refused,
    }
}

async fn used(state: &State, request: &Request) -> Option<Answer> {
    let name = request.param("DBSubnetGroupName")?;
    let root = state.query(&request.scope, "rds", "DescribeDBInstances", &[]).await.ok()?;
    root.all("DBSubnetGroupName").iter().any(|used| used.text() == name).then(|| {
        let message = format!("Cannot delete the subnet group '{name}' because at least one database instance is still using it.");
        request.refuse(400, "InvalidDBSubnetGroupStateFault", &message)
    })
}

/// Classes and versions that no RDS has. Which ones there are changes weekly; this catches what never was.
fn unknown(request: &Request) -> Option<Answer> {
    let class = request.param("DBInstanceClass").unwrap_or_default();
    let mut parts = class.split('.');
    let size = |size: &str| {
        matches!(size, "micro" | "small" | "medium" | "large")
            || size
                .strip_suffix("xlarge")
                .is_some_and(|count| count.is_empty() || count.parse::<u8>().is_ok())
    };
    let family = |family: &str| {
        family.starts_with(['t', 'm', 'r', 'x', 'z', 'c'])
            && family[1..].starts_with(|first: char| first.is_ascii_digit())
    };
    let known =
        parts.next() == Some("db") && parts.next().is_some_and(family) && parts.next().is_some_and(size);
    if !known && !class.is_empty() {
        return Some(request.refuse(
            400,
            "InvalidParameterValue",
            &format!("Invalid DB Instance class: {class}"),
        ));
    }
    let engine = request.param("Engine").unwrap_or_default();
    let version = request.param("EngineVersion")?;
    let major: Option<u32> = version.split('.').next().and_then(|major| major.parse().ok());
    if engine == "postgres" && !major.is_some_and(|major| (11..=18).contains(&major)) {
        let message = format!("Cannot find version {version} for postgres");
        return Some(request.refuse(400, "InvalidParameterCombination", &message));
    }
    let storage: Option<u32> = request.param("AllocatedStorage").and_then(|size| size.parse().ok());
    if storage.is_some_and(|size| size < 20) && request.param("StorageType").as_deref() == Some("gp3") {
        let message = format!(
            "Invalid storage size for engine name {engine} and storage type gp3: {}",
            storage.unwrap_or_default()
        );
        return Some(request.refuse(400, "InvalidParameterCombination", &message));
    }
    None
}

async fn delete(state: &State, request: &Request) -> Option<Answer> {
    let id = request.param("DBInstanceIdentifier")?;
    let root = state
        .query(&request.scope, "rds", "DescribeDBInstances", &[("DBInstanceIdentifier", &id)])
        .await
        .ok()?;
    let combination = |message: &str| Some(request.refuse(400, "InvalidParameterCombination", message));
    if root.all("DeletionProtection").iter().any(|on| on.text() == "true") {
        return combination(
            "Cannot delete protected DB Instance, please disable deletion protection and try again.",
        );
    }
    let skip = request.param("SkipFinalSnapshot").as_deref() == Some("true");
    let named = request.param("FinalDBSnapshotIdentifier").is_some();
    if !skip && !named {
        return combination("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.");
    }
    if skip && named {
        return combination(
            "FinalDBSnapshotIdentifier can not be specified when deleting with SkipFinalSnapshot.",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_was_is_refused() {
        let create = |class: &str, version: &str| {
            unknown(&Request::test(
                "rds",
                "CreateDBInstance",
                &format!("DBInstanceClass={class}&Engine=postgres&EngineVersion={version}"),
            ))
        };
        for (class, version) in
            [("db.t4g.micro", "16.4"), ("db.m5.2xlarge", "17"), ("db.r6gd.xlarge", "15.8")]
        {
            assert!(create(class, version).is_none(), "{class} {version}");
        }
        for (class, version) in
            [("db.bogus.micro", "16.4"), ("t3.micro", "16.4"), ("db.t3.nano", "16"), ("db.t3.micro", "99.9")]
        {
            assert!(create(class, version).is_some(), "{class} {version}");
        }
    }
}
