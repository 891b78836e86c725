//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetHealth.html>

use super::Elbv2;
use crate::{Call, id::Arn};
use causeway_core::Error;
use serde::{Deserialize, Serialize};

/// How a target of a target group is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetHealth {
    /// The address or the instance.
    pub target: String,
    /// The port that traffic goes to.
    pub port: Option<u16>,
    /// `initial`, `healthy`, `unhealthy`, `unused`, `draining`, `unavailable` and the like.
    pub state: String,
    /// Why it is not healthy, in a word like `Target.Timeout`.
    pub reason: Option<String>,
    /// The same in a sentence.
    pub description: Option<String>,
}

impl TargetHealth {
    /// Whether it gets traffic because its checks succeed.
    pub fn is_healthy(&self) -> bool {
        self.state == "healthy"
    }
}

impl Elbv2 {
    /// The health of every target of a target group, sorted by target and port.
    ///
    /// # Errors
    /// The call failed, or there is no such group.
    pub async fn target_health(&self, target_group: &Arn) -> Result<Vec<TargetHealth>, Error> {
        let answer = self.describe_target_health().target_group_arn(target_group.as_str()).send().await;
        let answer = answer.call("elasticloadbalancing:DescribeTargetHealth")?;
        let mut targets: Vec<TargetHealth> = answer
            .target_health_descriptions
            .unwrap_or_default()
            .into_iter()
            .map(|one| {
                let health = one.target_health;
                let port = one.target.as_ref().and_then(|t| t.port);
                TargetHealth {
                    target: one.target.and_then(|t| t.id).unwrap_or_default(),
                    port: port.and_then(|p| u16::try_from(p).ok()),
                    state: health
                        .as_ref()
                        .and_then(|h| h.state.as_ref())
                        .map(|s| s.as_str().to_owned())
                        .unwrap_or_default(),
                    reason: health.as_ref().and_then(|h| h.reason.as_ref()).map(|r| r.as_str().to_owned()),
                    description: health.and_then(|h| h.description),
                }
            })
            .collect();
        targets.sort_by(|a, b| (&a.target, a.port).cmp(&(&b.target, b.port)));
        Ok(targets)
    }
}
