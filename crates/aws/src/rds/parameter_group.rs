//! Engine settings that instances share.
//! <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBParameterGroup.html>

use super::{Rds, actual_name, tags_of, to_tags, write_tags};
use crate::{Aws, Call, id::Arn};
use aws_sdk_rds::types::{ApplyMethod, Parameter};
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Status, Tags, Timing, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Engine settings that instances share.
///
/// A change of a dynamic parameter is in force at once, that of a static one after a reboot:
/// [`Instance::parameters_applied`](super::Instance::parameters_applied).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ParameterGroup {
    /// Unique in the account and region, in lower case. A generated name lets the group of the next major version
    /// stand beside this one.
    pub name: Name,
    /// Engine and major version, like `postgres16`.
    pub family: String,
    /// For people.
    pub description: String,
    /// Values by parameter name, as RDS writes them (`1`, not `on`); all others have the engine's defaults.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a parameter group tells others.
    pub struct ParameterGroupOutputs => ParameterGroupRefs {
        /// The name as RDS has it.
        pub name: String,
        /// The ARN.
        pub arn: Arn,
    }
}

/// As many as one call takes.
const MOST_PARAMETERS: usize = 20;

impl Resource for ParameterGroup {
    const KIND: &'static str = "aws.rds.parameter_group";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const KEEPS: &'static [&'static str] = &["description"];
    const REPLACE: &'static [&'static str] = &["name", "family", "description"];
    // A group can be in use by an instance that is still being deleted.
    const TIMING: Timing = Timing::seconds(3, 2, 900);
    type Client = Aws;
    type Outputs = ParameterGroupOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let Some(name) = actual_name(cx, &self.name) else { return Ok(None) };
        let rds = &cx.client.rds;
        let arn = cx.recorded.as_ref().map(|recorded| &recorded.arn);
        if let Some(tags) = cx.client.tag_index.confirms(cx, arn, &self.tags).await {
            // What is set in it shows that it is there, and all else of a group never changes.
            let set = parameters(rds, &name, Some("user")).await.found()?;
            return Ok(set
                .zip(cx.recorded.clone())
                .map(|(set, recorded)| live(self.clone(), recorded, &set, tags)));
        }
        let Some(group) = rds.parameter_groups.get(name.clone()).await? else { return Ok(None) };
        let arn = group.db_parameter_group_arn().unwrap_or_default();
        let tags = tags_of(rds, arn).await?;
        let set = parameters(rds, &name, Some("user")).await?;
        let there = ParameterGroup {
            family: group.db_parameter_group_family().unwrap_or_default().to_owned(),
            description: group.description().unwrap_or_default().to_owned(),
            ..self.clone()
        };
        Ok(Some(live(there, ParameterGroupOutputs { name, arn: arn.into() }, &set, tags)))
    }

    /// Without parameters: `update` sets them.
    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let call = cx
            .client
            .rds
            .create_db_parameter_group()
            .db_parameter_group_name(cx.name(&self.name))
            .db_parameter_group_family(&self.family)
            .description(&self.description)
            .set_tags(Some(to_tags(&self.tags)));
        call.send().await.call("rds:CreateDBParameterGroup").map(drop)
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let rds = &cx.client.rds;
        let name = &live.outputs.name;
        if diff.touches("parameters") {
            let dynamic = dynamic(&parameters(rds, name, None).await?);
            let steps = steps(&self.parameters, &live.spec.parameters, diff, &dynamic);
            for some in steps.set.chunks(MOST_PARAMETERS) {
                let call = rds
                    .modify_db_parameter_group()
                    .db_parameter_group_name(name)
                    .set_parameters(Some(some.to_vec()));
                call.send().await.call("rds:ModifyDBParameterGroup")?;
            }
            for some in steps.reset.chunks(MOST_PARAMETERS) {
                let call = rds
                    .reset_db_parameter_group()
                    .db_parameter_group_name(name)
                    .reset_all_parameters(false)
                    .set_parameters(Some(some.to_vec()));
                call.send().await.call("rds:ResetDBParameterGroup")?;
            }
        }
        write_tags(rds, &live.outputs.arn, &self.tags, &live.spec.tags, diff).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let call = cx.client.rds.delete_db_parameter_group().db_parameter_group_name(&live.outputs.name);
        call.send().await.call("rds:DeleteDBParameterGroup").found().map(drop)
    }
}

/// `group` with what is set in it.
fn live(
    group: ParameterGroup,
    outputs: ParameterGroupOutputs,
    set: &[Parameter],
    tags: Tags,
) -> Live<ParameterGroup> {
    Live {
        outputs,
        status: Status::Ready,
        owner: tags.owner(),
        spec: ParameterGroup { parameters: values(set), tags, ..group },
    }
}

/// The parameters of a group; `user` as `source` leaves out those that nobody set.
async fn parameters(rds: &Rds, group: &str, source: Option<&str>) -> Result<Vec<Parameter>, Error> {
    let mut all = vec![];
    let mut marker = None;
    loop {
        let call = rds
            .describe_db_parameters()
            .db_parameter_group_name(group)
            .set_source(source.map(str::to_owned))
            .set_marker(marker);
        let page = call.send().await.call("rds:DescribeDBParameters")?;
        all.extend(page.parameters.unwrap_or_default());
        marker = page.marker.filter(|m| !m.is_empty());
        if marker.is_none() {
            return Ok(all);
        }
    }
}

fn values(set: &[Parameter]) -> BTreeMap<String, String> {
    set.iter().filter_map(|p| Some((p.parameter_name.clone()?, p.parameter_value.clone()?))).collect()
}

/// The names of those that can change while the engine runs.
fn dynamic(all: &[Parameter]) -> BTreeSet<String> {
    all.iter()
        .filter(|p| p.apply_type() == Some("dynamic"))
        .filter_map(|p| p.parameter_name.clone())
        .collect()
}

#[derive(Debug, Default, PartialEq)]
struct Steps {
    set: Vec<Parameter>,
    reset: Vec<Parameter>,
}

/// What to set and what to give back to the engine. Only a dynamic parameter may be applied at once.
fn steps(
    wanted: &BTreeMap<String, String>,
    live: &BTreeMap<String, String>,
    diff: &Diff,
    dynamic: &BTreeSet<String>,
) -> Steps {
    let parameter = |name: &String| {
        let at_once = dynamic.contains(name);
        Parameter::builder().parameter_name(name).apply_method(if at_once {
            ApplyMethod::Immediate
        } else {
            ApplyMethod::PendingReboot
        })
    };
    Steps {
        set: wanted
            .iter()
            .filter(|(k, v)| live.get(*k) != Some(v))
            .map(|(k, v)| parameter(k).parameter_value(v).build())
            .collect(),
        reset: live
            .keys()
            .filter(|k| !wanted.contains_key(*k) && diff.touches(&format!("parameters.{k}")))
            .map(|k| parameter(k).build())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::diff::{Change, FieldChange};
    use serde_json::Value as Json;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }
    fn removed(path: &str) -> Diff {
        Diff {
            changes: vec![FieldChange {
                path: path.into(),
                change: Change::Removed { from: Json::String("1".into()) },
            }],
        }
    }

    #[test]
    fn only_dynamic_parameters_apply_at_once() {
        let wanted = map(&[("max_connections", "200"), ("work_mem", "8192"), ("same", "1")]);
        let live = map(&[("same", "1")]);
        let dynamic = BTreeSet::from(["work_mem".to_owned()]);
        let steps = steps(&wanted, &live, &Diff::default(), &dynamic);
        let methods: Vec<_> = steps
            .set
            .iter()
            .map(|p| (p.parameter_name().unwrap(), p.apply_method().unwrap().as_str()))
            .collect();
        assert_eq!(methods, [("max_connections", "pending-reboot"), ("work_mem", "immediate")]);
        assert!(steps.reset.is_empty());
    }

    #[test]
    fn a_parameter_that_is_wanted_no_more_is_reset_and_a_foreign_one_stays() {
        let live = map(&[("rds.force_ssl", "1"), ("foreign", "1")]);
        let steps = steps(&map(&[]), &live, &removed("parameters.rds.force_ssl"), &BTreeSet::new());
        let names: Vec<_> = steps.reset.iter().map(|p| p.parameter_name().unwrap()).collect();
        assert_eq!(names, ["rds.force_ssl"]);
        assert!(steps.set.is_empty());
    }
}
