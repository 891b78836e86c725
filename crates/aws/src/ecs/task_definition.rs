//! What a task runs.
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html>

use super::{Container, Ecs, from_tags, in_order_of, to_tags, write_tags};
use crate::{Aws, Call, id::Arn};
use aws_sdk_ecs::types::{self, EphemeralStorage, SortOrder, TaskDefinitionField, TaskDefinitionStatus};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Owner, Recovery, Resource, Set, Status, Tags, Value, diff::Diff, outputs,
};
use serde::{Deserialize, Serialize};

/// What a task runs: a family of revisions, of which the latest is what is wanted.
///
/// Nothing is ever changed: other content is another revision, and the old ones stay active, so that a service can be
/// rolled back to them. Equal content never makes another revision.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TaskDefinition {
    /// Unique in the account and region.
    pub family: String,
    /// CPU units of the whole task, 1024 a CPU. Needed on Fargate: [`fargate_size`].
    pub cpu: Option<u32>,
    /// MiB of the whole task. Needed on Fargate: [`fargate_size`].
    pub memory: Option<u32>,
    /// Like `awsvpc`, which Fargate needs. `None`: `bridge`.
    pub network_mode: Option<String>,
    /// Like `FARGATE`. `None`: what the content allows.
    pub requires_compatibilities: Option<Set<String>>,
    /// The role that pulls images, reads secrets and writes logs. `None`: none.
    pub execution_role_arn: Option<Value<Arn>>,
    /// The role of the containers. `None`: none.
    pub task_role_arn: Option<Value<Arn>>,
    /// `None`: Linux on x86-64.
    pub runtime_platform: Option<RuntimePlatform>,
    /// GiB, 21 to 200. `None`: 20.
    pub ephemeral_storage: Option<i32>,
    /// The containers.
    pub container_definitions: Vec<Container>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// What a task runs on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuntimePlatform {
    /// `X86_64` or `ARM64`.
    pub cpu_architecture: String,
    /// Like `LINUX`.
    pub operating_system_family: String,
}

outputs! {
    /// What a task definition tells others.
    pub struct TaskDefinitionOutputs => TaskDefinitionRefs {
        /// The ARN of the revision.
        pub arn: Arn,
        /// The number of the revision.
        pub revision: i32,
        /// The family.
        pub family: String,
    }
}

impl Resource for TaskDefinition {
    const KIND: &'static str = "aws.ecs.task_definition";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["family"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Name("family");
    const REPLACE: &'static [&'static str] = &["family"];
    const MOVES: &'static [&'static str] = &["arn", "revision"];
    type Client = Aws;
    type Outputs = TaskDefinitionOutputs;

    /// The latest active revision of the family. A later one that others made does not count once there is one of ours.
    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let ecs = &cx.client.ecs;
        let Some(latest) = self.describe(ecs, &self.family).await? else { return Ok(None) };
        match &cx.recorded {
            Some(recorded) if recorded.arn != latest.outputs.arn && !self.is_ours(cx, &latest.owner) => {
                let ours = self.describe(ecs, recorded.arn.as_str()).await?;
                Ok(ours.filter(|live| self.is_ours(cx, &live.owner)))
            }
            _ => Ok(Some(latest)),
        }
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        self.register(&cx.client.ecs).await
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        if diff.changes.iter().any(|c| c.path != "tags" && !c.path.starts_with("tags.")) {
            return self.register(&cx.client.ecs).await;
        }
        write_tags(&cx.client.ecs, &live.outputs.arn, &self.tags, &live.spec.tags, diff).await
    }

    /// Deregisters every active revision that is ours; tasks that run go on running.
    async fn delete(&self, cx: &Cx<'_, Self>, _live: &Live<Self>) -> Result<(), Error> {
        let ecs = &cx.client.ecs;
        for arn in active(ecs, &self.family).await? {
            let Some(live) = self.describe(ecs, &arn).await? else { continue };
            if self.is_ours(cx, &live.owner) {
                let call = ecs.deregister_task_definition().task_definition(arn);
                call.send().await.call("ecs:DeregisterTaskDefinition")?;
            }
        }
        Ok(())
    }
}

/// The ARNs of the active revisions, latest first.
pub(super) async fn active(ecs: &Ecs, family: &str) -> Result<Vec<String>, Error> {
    let mut arns = vec![];
    let mut next = None;
    loop {
        let call = ecs
            .list_task_definitions()
            .family_prefix(family)
            .status(TaskDefinitionStatus::Active)
            .sort(SortOrder::Desc)
            .set_next_token(next);
        let page = call.send().await.call("ecs:ListTaskDefinitions")?;
        arns.extend(page.task_definition_arns.unwrap_or_default());
        next = page.next_token.filter(|t| !t.is_empty());
        if next.is_none() {
            return Ok(arns);
        }
    }
}

impl TaskDefinition {
    /// Whether a revision carries our stack and address, of whatever incarnation; or our incarnation, of whatever
    /// address, as older revisions keep the address that we had when they were made.
    fn is_ours(&self, cx: &Cx<'_, Self>, owner: &Owner) -> bool {
        let Owner::Tagged { stack, address, instance } = owner else { return false };
        (*address == cx.address.0 || instance == cx.instance)
            && self.tags.0.get(Tags::STACK).is_none_or(|ours| ours == stack)
    }

    /// The revision with this ARN, or the latest active one of this family. `None` when there is none, or it is not
    /// active.
    async fn describe(&self, ecs: &Ecs, which: &str) -> Result<Option<Live<Self>>, Error> {
        let call = ecs.describe_task_definition().task_definition(which).include(TaskDefinitionField::Tags);
        let found = match call.send().await {
            // All that this call says of what is not there.
            Err(e) if e.code() == Some("ClientException") => return Ok(None),
            found => found.call("ecs:DescribeTaskDefinition")?,
        };
        let tags = from_tags(found.tags());
        let is_active = |d: &&types::TaskDefinition| d.status() == Some(&TaskDefinitionStatus::Active);
        Ok(found.task_definition().filter(is_active).map(|definition| self.live(definition, tags)))
    }

    async fn register(&self, ecs: &Ecs) -> Result<(), Error> {
        let compatibilities = self.requires_compatibilities.as_ref().map(Set::get).transpose()?;
        if compatibilities.iter().flatten().any(|c| c == "FARGATE") {
            fargate_size(self.cpu.unwrap_or(0), self.memory.unwrap_or(0)).map_err(Error::Invalid)?;
        }
        let containers =
            self.container_definitions.iter().map(Container::request).collect::<Result<Vec<_>, _>>()?;
        let role = |arn: &Option<Value<Arn>>| -> Result<Option<String>, Error> {
            Ok(arn.as_ref().map(Value::get).transpose()?.cloned().map(String::from))
        };
        let call = ecs
            .register_task_definition()
            .family(&self.family)
            .set_cpu(self.cpu.map(|n| n.to_string()))
            .set_memory(self.memory.map(|n| n.to_string()))
            .set_network_mode(self.network_mode.as_deref().map(Into::into))
            .set_requires_compatibilities(
                compatibilities.map(|all| all.iter().map(|c| c.as_str().into()).collect()),
            )
            .set_execution_role_arn(role(&self.execution_role_arn)?)
            .set_task_role_arn(role(&self.task_role_arn)?)
            .set_runtime_platform(self.runtime_platform.as_ref().map(|p| {
                types::RuntimePlatform::builder()
                    .cpu_architecture(p.cpu_architecture.as_str().into())
                    .operating_system_family(p.operating_system_family.as_str().into())
                    .build()
            }))
            .set_ephemeral_storage(
                self.ephemeral_storage.map(|gib| EphemeralStorage::builder().size_in_gib(gib).build()),
            )
            .set_container_definitions(Some(containers))
            .set_tags(to_tags(&self.tags));
        call.send().await.call("ecs:RegisterTaskDefinition").map(drop)
    }

    fn live(&self, found: &types::TaskDefinition, tags: Tags) -> Live<Self> {
        let family = found.family().unwrap_or_default().to_owned();
        let wanted = |name: &str| self.container_definitions.iter().find(|c| c.name == name);
        let containers = found
            .container_definitions()
            .iter()
            .map(|c| Container::live(c, wanted(c.name().unwrap_or_default())))
            .collect();
        let role = |arn: Option<&str>| arn.map(|arn| Value::Known(Arn::from(arn)));
        Live {
            outputs: TaskDefinitionOutputs {
                arn: found.task_definition_arn().unwrap_or_default().into(),
                revision: found.revision(),
                family: family.clone(),
            },
            status: Status::Ready,
            owner: tags.owner(),
            spec: TaskDefinition {
                family,
                cpu: found.cpu().and_then(|n| n.parse().ok()),
                memory: found.memory().and_then(|n| n.parse().ok()),
                network_mode: found.network_mode().map(|m| m.as_str().to_owned()),
                requires_compatibilities: Some(
                    found.requires_compatibilities().iter().map(|c| c.as_str().to_owned()).collect(),
                ),
                execution_role_arn: role(found.execution_role_arn()),
                task_role_arn: role(found.task_role_arn()),
                runtime_platform: found.runtime_platform().map(|p| RuntimePlatform {
                    cpu_architecture: p.cpu_architecture().map_or("X86_64", |a| a.as_str()).to_owned(),
                    operating_system_family: p
                        .operating_system_family()
                        .map_or("LINUX", |f| f.as_str())
                        .to_owned(),
                }),
                ephemeral_storage: found.ephemeral_storage().map(|e| e.size_in_gib()),
                container_definitions: in_order_of(&self.container_definitions, containers, |c| {
                    c.name.clone()
                }),
                tags,
            },
        }
    }
}

/// Sizes that Fargate offers: CPU units, then least, most and step of the memory in MiB.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html#task_size>
const FARGATE_SIZES: [(u32, u32, u32, u32); 6] = [
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];

/// Whether Fargate has tasks of this size.
///
/// # Errors
/// What it has instead: the legal CPU values, or the memory values that go with `cpu`.
pub fn fargate_size(cpu: u32, memory: u32) -> Result<(), String> {
    let legal: Vec<u32> = match FARGATE_SIZES.iter().find(|(units, ..)| *units == cpu) {
        Some((_, least, most, step)) => {
            (*least..=*most).step_by(usize::try_from(*step).unwrap_or(1)).collect()
        }
        // The only size whose memory does not grow in equal steps.
        None if cpu == 256 => vec![512, 1024, 2048],
        None => {
            let units = FARGATE_SIZES.iter().map(|(units, ..)| units.to_string());
            let units: Vec<_> = std::iter::once("256".to_owned()).chain(units).collect();
            return Err(format!(
                "Fargate has no tasks with {cpu} CPU units: choose one of {}",
                units.join(", ")
            ));
        }
    };
    if legal.contains(&memory) {
        return Ok(());
    }
    let legal: Vec<_> = legal.iter().map(u32::to_string).collect();
    Err(format!(
        "Fargate has no tasks with {cpu} CPU units and {memory} MiB of memory: choose one of {}",
        legal.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fargate_has_the_sizes_that_it_documents() {
        for (cpu, memory) in [(256, 512), (256, 2048), (1024, 3072), (4096, 30720), (16384, 122_880)] {
            assert_eq!(fargate_size(cpu, memory), Ok(()), "{cpu}/{memory}");
        }
        for (cpu, memory) in [(256, 1536), (256, 4096), (1024, 1024), (8192, 17408), (1024, 2049)] {
            assert!(fargate_size(cpu, memory).is_err(), "{cpu}/{memory}");
        }
        assert!(fargate_size(512, 512).unwrap_err().ends_with("choose one of 1024, 2048, 3072, 4096"));
        assert!(fargate_size(100, 512).unwrap_err().contains("256, 512, 1024"));
    }

    fn wanted() -> TaskDefinition {
        serde_json::from_value(serde_json::json!({
            "family": "coder", "cpu": 1024, "memory": 2048,
            "container_definitions": [{ "name": "a", "image": "i:1" }, { "name": "b", "image": "i:2" }]
        }))
        .unwrap()
    }

    #[test]
    fn what_ecs_fills_in_is_not_a_difference() {
        use causeway_core::secret::{SealKey, Sealed};
        let wanted = wanted();
        let mut containers: Vec<_> =
            wanted.container_definitions.iter().map(|c| c.request().unwrap()).collect();
        containers.reverse();
        let found = types::TaskDefinition::builder()
            .family("coder")
            .revision(3)
            .cpu("1024")
            .memory("2048")
            .set_container_definitions(Some(containers))
            .network_mode(types::NetworkMode::Awsvpc)
            .requires_attributes(types::Attribute::builder().name("x").build().unwrap())
            .build();
        let live = wanted.live(&found, Tags::default());
        let sealed =
            |spec: &TaskDefinition| Sealed::of(&serde_json::to_value(spec).unwrap(), &SealKey::fixed("k"));
        let diff = causeway_core::diff::diff(&sealed(&wanted), &sealed(&live.spec), &Sealed::default());
        assert_eq!(diff, Diff::default());
        assert_eq!(live.outputs.revision, 3);
    }
}
