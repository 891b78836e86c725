//! A one-off task with another entry point. What a task may override is its command
//! (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerOverride.html>), so this takes a revision of
//! its own. It is in a family beside the one that it is like, and is deregistered as soon as the task is started: tasks
//! that run are not disturbed by that.

use super::{Ecs, spread, task_definition::active};
use crate::Call;
use aws_sdk_ecs::types::{Tag, TaskDefinitionField};
use causeway_core::Error;

/// The tag that says for which run a revision was made.
const FOR: &str = "causeway:run";

/// The family beside that of the revision `arn`.
fn beside(arn: &str) -> String {
    let name = arn.rsplit('/').next().unwrap_or(arn);
    format!("{}-run", name.split(':').next().unwrap_or(name))
}

impl Ecs {
    /// Registers the revision `arn` once more, with `entry_point` for `container`, and answers with the new ARN. `run`
    /// tells it from those of other runs; [`Ecs::deregister_entry_points`] ends it.
    ///
    /// # Errors
    /// The revision has no such container, or ECS refuses this or cannot be asked.
    pub async fn with_entry_point(
        &self,
        arn: &str,
        container: &str,
        entry_point: &str,
        run: &str,
    ) -> Result<String, Error> {
        let call = self.describe_task_definition().task_definition(arn).send().await;
        let like = call.call("ecs:DescribeTaskDefinition")?.task_definition.unwrap_or_else(nothing);
        let mut containers = like.container_definitions.unwrap_or_default();
        let Some(ours) = containers.iter_mut().find(|c| c.name.as_deref() == Some(container)) else {
            return Err(Error::Invalid(format!("{arn} has no container `{container}`")));
        };
        ours.entry_point = Some(vec![entry_point.to_owned()]);
        let call = self
            .register_task_definition()
            .family(beside(arn))
            .set_container_definitions(Some(containers))
            .set_task_role_arn(like.task_role_arn)
            .set_execution_role_arn(like.execution_role_arn)
            .set_network_mode(like.network_mode)
            .set_volumes(like.volumes)
            .set_placement_constraints(like.placement_constraints)
            .set_requires_compatibilities(like.requires_compatibilities)
            .set_cpu(like.cpu)
            .set_memory(like.memory)
            .set_pid_mode(like.pid_mode)
            .set_ipc_mode(like.ipc_mode)
            .set_proxy_configuration(like.proxy_configuration)
            .set_ephemeral_storage(like.ephemeral_storage)
            .set_runtime_platform(like.runtime_platform)
            .set_enable_fault_injection(like.enable_fault_injection)
            .tags(Tag::builder().key(FOR).value(run).build());
        let made = spread(call.send().await.call("ecs:RegisterTaskDefinition"))?.task_definition;
        Ok(made.and_then(|made| made.task_definition_arn).unwrap_or_default())
    }

    /// Deregisters what [`Ecs::with_entry_point`] made of the revision `arn` for `run`, also where its answer was lost.
    ///
    /// # Errors
    /// ECS cannot be asked.
    pub async fn deregister_entry_points(&self, arn: &str, run: &str) -> Result<(), Error> {
        for made in active(self, &beside(arn)).await? {
            let call = self.describe_task_definition().task_definition(&made);
            let found = call.include(TaskDefinitionField::Tags).send().await;
            let found = found.call("ecs:DescribeTaskDefinition")?;
            if found.tags().iter().any(|t| t.key() == Some(FOR) && t.value() == Some(run)) {
                let call = self.deregister_task_definition().task_definition(&made);
                call.send().await.call("ecs:DeregisterTaskDefinition")?;
            }
        }
        Ok(())
    }
}

/// An answer without a definition has no container either.
fn nothing() -> aws_sdk_ecs::types::TaskDefinition {
    aws_sdk_ecs::types::TaskDefinition::builder().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_of_its_own_is_in_a_family_of_its_own() {
        assert_eq!(beside("arn:aws:ecs:us-east-1:123456789012:task-definition/coder:7"), "coder-run");
        assert_eq!(beside("coder:7"), "coder-run");
    }
}
