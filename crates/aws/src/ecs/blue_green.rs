//! Blue/green deployments of a service: what they need of a load balancer, and how far one is.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-blue-green.html>

use super::service::Rollout;
use crate::id::Arn;
use aws_sdk_ecs::types::{
    AdvancedConfiguration, ServiceDeployment, ServiceDeploymentBrief, ServiceDeploymentLifecycleStage,
    ServiceDeploymentStatus,
};
use causeway_core::{Error, Status, Value};
use serde::{Deserialize, Serialize};

/// The strategy, as ECS calls it.
pub const BLUE_GREEN: &str = "BLUE_GREEN";
/// The other one.
pub(super) const ROLLING: &str = "ROLLING";

/// What ECS turns at a blue/green deployment. It swaps the roles of the two groups each time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alternate {
    /// The group that takes turns with the service's own. A listener rule must name both.
    pub target_group_arn: Value<Arn>,
    /// The rule whose weights ECS moves.
    pub production_listener_rule: Value<Arn>,
    /// A rule for requests that try the new tasks first. `None`: none.
    #[serde(default)]
    pub test_listener_rule: Option<Value<Arn>>,
    /// As whom ECS does that: it trusts `ecs.amazonaws.com` and has `AmazonECSInfrastructureRolePolicyForLoadBalancers`.
    pub role_arn: Value<Arn>,
}

impl Alternate {
    pub(super) fn request(&self) -> Result<AdvancedConfiguration, Error> {
        let test = self.test_listener_rule.as_ref().map(Value::get).transpose()?;
        Ok(AdvancedConfiguration::builder()
            .alternate_target_group_arn(self.target_group_arn.get()?.as_str())
            .production_listener_rule(self.production_listener_rule.get()?.as_str())
            .set_test_listener_rule(test.map(Arn::to_string))
            .role_arn(self.role_arn.get()?.as_str())
            .build())
    }

    pub(super) fn live(found: &AdvancedConfiguration) -> Option<Self> {
        Some(Alternate {
            target_group_arn: Value::Known(found.alternate_target_group_arn()?.into()),
            production_listener_rule: Value::Known(found.production_listener_rule()?.into()),
            test_listener_rule: found.test_listener_rule().map(|arn| Value::Known(arn.into())),
            role_arn: Value::Known(found.role_arn()?.into()),
        })
    }
}

/// The deployment that was begun last.
pub(super) fn newest(all: &[ServiceDeploymentBrief]) -> Option<&ServiceDeploymentBrief> {
    all.iter().max_by_key(|d| d.created_at().map(|t| (t.secs(), t.subsec_nanos())))
}

/// Whether ECS is still at it.
pub(super) fn is_going(deployment: &ServiceDeploymentBrief) -> bool {
    use ServiceDeploymentStatus as S;
    matches!(
        deployment.status(),
        Some(S::Pending | S::InProgress | S::StopRequested | S::RollbackRequested | S::RollbackInProgress)
    )
}

/// How far the service is whose newest deployment is `going`, where its tasks alone look like `by_tasks`: the new ones
/// run long before the deployment is over, and old ones long after it failed.
pub(super) fn course(going: &ServiceDeployment, by_tasks: Rollout) -> Rollout {
    use ServiceDeploymentStatus as S;
    let rolls_back = matches!(going.status(), Some(S::RollbackRequested | S::RollbackInProgress));
    let (tasks, failed) = match by_tasks {
        // No circuit breaker, and nothing but failures.
        Rollout::Failed(reason) if !rolls_back => return Rollout::Failed(reason),
        Rollout::Going { text, failed } => (Some(text), failed),
        Rollout::Another(Status::Pending(text)) => (Some(text), false),
        _ => (None, false),
    };
    if rolls_back {
        let why = going.status_reason().map(|r| format!(": {}", r.trim_end_matches('.'))).unwrap_or_default();
        return Rollout::Going { text: format!("ECS takes the deployment back{why}"), failed: false };
    }
    let minutes = going.deployment_configuration().and_then(|c| c.bake_time_in_minutes()).unwrap_or(0);
    let mut text = match going.lifecycle_stage() {
        Some(stage) => format!("{}, stage {}", words(stage, minutes), stage.as_str()),
        None => "the blue/green deployment begins".to_owned(),
    };
    // Afterwards all of them run, and the counts say nothing.
    if let (Some(tasks), None | Some(ServiceDeploymentLifecycleStage::ScaleUp)) =
        (tasks, going.lifecycle_stage())
    {
        text.push_str(&format!(": {tasks}"));
    }
    Rollout::Going { text, failed }
}

fn words(stage: &ServiceDeploymentLifecycleStage, minutes: i32) -> String {
    use ServiceDeploymentLifecycleStage as L;
    match stage {
        L::ReconcileService | L::PreScaleUp => "the new tasks are about to start".to_owned(),
        L::ScaleUp => "the new tasks start beside the old ones".to_owned(),
        L::PostScaleUp => "the new tasks run, and the old ones serve".to_owned(),
        L::TestTrafficShift | L::PostTestTrafficShift => "the new tasks get the test requests".to_owned(),
        L::ProductionTrafficShift => "requests go over to the new tasks".to_owned(),
        L::PostProductionTrafficShift => "the new tasks serve".to_owned(),
        L::BakeTime => format!("the new tasks serve and the old ones stay for {minutes} min"),
        L::CleanUp => "the old tasks stop".to_owned(),
        _ => "the blue/green deployment goes on".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ecs::types::DeploymentConfiguration;

    fn at(
        status: ServiceDeploymentStatus,
        stage: Option<ServiceDeploymentLifecycleStage>,
    ) -> ServiceDeployment {
        ServiceDeployment::builder()
            .status(status)
            .set_lifecycle_stage(stage)
            .status_reason("the threshold was exceeded.")
            .deployment_configuration(DeploymentConfiguration::builder().bake_time_in_minutes(5).build())
            .build()
    }

    #[test]
    fn tasks_that_all_run_are_not_the_end_of_it() {
        let bakes = at(ServiceDeploymentStatus::InProgress, Some(ServiceDeploymentLifecycleStage::BakeTime));
        let Rollout::Going { text, failed } = course(&bakes, Rollout::Done) else { panic!("it goes on") };
        assert_eq!(
            (text.as_str(), failed),
            ("the new tasks serve and the old ones stay for 5 min, stage BAKE_TIME", false)
        );
        let starts = at(ServiceDeploymentStatus::InProgress, Some(ServiceDeploymentLifecycleStage::ScaleUp));
        let tasks = Rollout::Going { text: "0 of 1 tasks running, 1 failed".into(), failed: true };
        let Rollout::Going { text, failed } = course(&starts, tasks) else { panic!("it goes on") };
        assert!(text.ends_with("stage SCALE_UP: 0 of 1 tasks running, 1 failed") && failed, "{text}");
    }

    #[test]
    fn a_rollback_is_waited_for_and_hopeless_tasks_are_not() {
        let back = at(ServiceDeploymentStatus::RollbackInProgress, None);
        for by_tasks in [Rollout::Failed("3 failed".into()), Rollout::Another(Status::Ready)] {
            let Rollout::Going { text, .. } = course(&back, by_tasks) else { panic!("it goes on") };
            assert_eq!(text, "ECS takes the deployment back: the threshold was exceeded");
        }
        let starts = at(ServiceDeploymentStatus::InProgress, Some(ServiceDeploymentLifecycleStage::ScaleUp));
        let hopeless = Rollout::Failed("10 tasks failed in a row".into());
        assert!(matches!(course(&starts, hopeless), Rollout::Failed(_)));
    }
}
