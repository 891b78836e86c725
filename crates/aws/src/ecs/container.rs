//! The containers of a task definition, and the way to the API's types and back.
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>

use super::{in_order_of, incomplete};
use aws_sdk_ecs::types;
use causeway_core::{Error, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One container of a task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Container {
    /// Unique in the task definition.
    pub name: String,
    /// `registry/repository:tag` or `registry/repository@sha256:..`.
    pub image: Value<String>,
    /// Whether the task ends with it. `None`: yes.
    pub essential: Option<bool>,
    /// CPU units out of the task's, 1024 a CPU. `None`: what is left.
    pub cpu: Option<i32>,
    /// MiB at which it is killed. `None`: the task's memory.
    pub memory: Option<i32>,
    /// MiB that are kept for it. `None`: none.
    pub memory_reservation: Option<i32>,
    /// Ports that it listens on.
    #[serde(default)]
    pub port_mappings: Vec<PortMapping>,
    /// Environment variables, for everyone to see who may describe task definitions: no secrets.
    #[serde(default)]
    pub environment: BTreeMap<String, Value<String>>,
    /// Environment variables whose values come from the ARN of a secret (`arn:..:secret:..`, with `:key::` for one key
    /// of a JSON secret) or of an SSM parameter.
    #[serde(default)]
    pub secrets: BTreeMap<String, Value<String>>,
    /// Where its output goes. `None`: nowhere.
    pub log_configuration: Option<LogConfiguration>,
    /// How ECS finds out whether it works. `None`: it does not.
    pub health_check: Option<HealthCheck>,
    /// `None`: the image's.
    pub entry_point: Option<Vec<String>>,
    /// `None`: the image's.
    pub command: Option<Vec<String>>,
    /// Containers that come first, and how far they must be: `START`, `COMPLETE`, `SUCCESS` or `HEALTHY`.
    #[serde(default)]
    pub depends_on: BTreeMap<String, String>,
    /// User name or id, `user:group`. `None`: the image's.
    pub user: Option<String>,
    /// `None`: the image's.
    pub working_directory: Option<String>,
    /// `None`: writable.
    pub readonly_root_filesystem: Option<bool>,
    /// `None`: ECS decides.
    pub linux_parameters: Option<LinuxParameters>,
    /// Limits by name, like `nofile`.
    #[serde(default)]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Seconds until the containers that it depends on count as failed. `None`: ECS decides.
    pub start_timeout: Option<i32>,
    /// Seconds between SIGTERM and SIGKILL, at most 120 on Fargate. `None`: 30.
    pub stop_timeout: Option<i32>,
}

/// A port that a container listens on. With the network mode `awsvpc` it is the task's port too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PortMapping {
    /// TCP or UDP port.
    pub container_port: i32,
    /// `tcp` or `udp`. `None`: `tcp`.
    pub protocol: Option<String>,
    /// For Service Connect. `None`: has none.
    pub name: Option<String>,
    /// `http`, `http2` or `grpc`, for Service Connect. `None`: TCP.
    pub app_protocol: Option<String>,
}

/// Where the output of a container goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogConfiguration {
    /// Like `awslogs`.
    pub log_driver: String,
    /// What the driver wants to know.
    #[serde(default)]
    pub options: BTreeMap<String, Value<String>>,
}

/// How ECS finds out whether a container works.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HealthCheck {
    /// `["CMD-SHELL", "curl -f http://localhost/healthz"]`: healthy where it ends with 0.
    pub command: Vec<String>,
    /// Seconds between two checks. `None`: 30.
    pub interval: Option<i32>,
    /// Seconds that a check may take. `None`: 5.
    pub timeout: Option<i32>,
    /// Failures in a row that make it unhealthy. `None`: 3.
    pub retries: Option<i32>,
    /// Seconds at the start in which failures do not count. `None`: 0.
    pub start_period: Option<i32>,
}

/// What the kernel does for a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LinuxParameters {
    /// Whether a small init process passes signals on and reaps zombies. `None`: no.
    pub init_process_enabled: Option<bool>,
}

/// A limit of the kernel.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Ulimit {
    /// What it starts with.
    pub soft: i32,
    /// What it may raise that to.
    pub hard: i32,
}

impl PortMapping {
    /// A TCP port.
    pub fn tcp(container_port: i32) -> Self {
        PortMapping { container_port, protocol: None, name: None, app_protocol: None }
    }
}

impl LogConfiguration {
    /// To CloudWatch Logs: streams `<prefix>/<container>/<task id>` in `group`.
    pub fn awslogs(
        group: impl Into<Value<String>>,
        region: impl Into<Value<String>>,
        prefix: impl Into<Value<String>>,
    ) -> Self {
        LogConfiguration {
            log_driver: "awslogs".into(),
            options: BTreeMap::from([
                ("awslogs-group".into(), group.into()),
                ("awslogs-region".into(), region.into()),
                ("awslogs-stream-prefix".into(), prefix.into()),
            ]),
        }
    }
}

/// A version as an image tag: `+`, which starts the build part of a version, cannot be in a tag and becomes `-`.
pub fn image_tag(version: &str) -> String {
    version.replace('+', "-")
}

/// Refuses an image whose tag no registry can hold.
pub(super) fn check_image(image: &str) -> Result<(), Error> {
    let named = image.split_once('@').map_or(image, |(named, _)| named);
    let last = named.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, tag)) if tag.contains('+') => Err(Error::Invalid(format!(
            "the image `{image}` has a `+` in its tag, which registries refuse: its tag should be `{}`",
            image_tag(tag)
        ))),
        _ => Ok(()),
    }
}

fn known(values: &BTreeMap<String, Value<String>>) -> Result<Vec<(String, String)>, Error> {
    values.iter().map(|(k, v)| Ok((k.clone(), v.get()?.clone()))).collect()
}

impl Container {
    pub(super) fn request(&self) -> Result<types::ContainerDefinition, Error> {
        let image = self.image.get()?;
        check_image(image)?;
        let what = format!("container `{}`", self.name);
        let bad = |e: aws_smithy_types::error::operation::BuildError| incomplete(&what, &e);
        let environment = known(&self.environment)?
            .into_iter()
            .map(|(name, value)| types::KeyValuePair::builder().name(name).value(value).build())
            .collect();
        let secrets = known(&self.secrets)?
            .into_iter()
            .map(|(name, from)| types::Secret::builder().name(name).value_from(from).build().map_err(bad))
            .collect::<Result<Vec<_>, _>>()?;
        let depends_on = self
            .depends_on
            .iter()
            .map(|(name, condition)| {
                types::ContainerDependency::builder()
                    .container_name(name)
                    .condition(condition.as_str().into())
                    .build()
                    .map_err(bad)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let ulimits = self
            .ulimits
            .iter()
            .map(|(name, limit)| {
                types::Ulimit::builder()
                    .name(name.as_str().into())
                    .soft_limit(limit.soft)
                    .hard_limit(limit.hard)
                    .build()
                    .map_err(bad)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let log = match &self.log_configuration {
            Some(log) => Some(
                types::LogConfiguration::builder()
                    .log_driver(log.log_driver.as_str().into())
                    .set_options(Some(known(&log.options)?.into_iter().collect()))
                    .build()
                    .map_err(bad)?,
            ),
            None => None,
        };
        let health_check = match &self.health_check {
            Some(check) => Some(
                types::HealthCheck::builder()
                    .set_command(Some(check.command.clone()))
                    .set_interval(check.interval)
                    .set_timeout(check.timeout)
                    .set_retries(check.retries)
                    .set_start_period(check.start_period)
                    .build()
                    .map_err(bad)?,
            ),
            None => None,
        };
        Ok(types::ContainerDefinition::builder()
            .name(&self.name)
            .image(image)
            .essential(self.essential.unwrap_or(true))
            .set_cpu(self.cpu)
            .set_memory(self.memory)
            .set_memory_reservation(self.memory_reservation)
            .set_port_mappings(some(self.port_mappings.iter().map(PortMapping::request).collect()))
            .set_environment(some(environment))
            .set_secrets(some(secrets))
            .set_log_configuration(log)
            .set_health_check(health_check)
            .set_entry_point(self.entry_point.clone())
            .set_command(self.command.clone())
            .set_depends_on(some(depends_on))
            .set_user(self.user.clone())
            .set_working_directory(self.working_directory.clone())
            .set_readonly_root_filesystem(self.readonly_root_filesystem)
            .set_linux_parameters(self.linux_parameters.as_ref().map(|l| {
                types::LinuxParameters::builder().set_init_process_enabled(l.init_process_enabled).build()
            }))
            .set_ulimits(some(ulimits))
            .set_start_timeout(self.start_timeout)
            .set_stop_timeout(self.stop_timeout)
            .build())
    }

    /// What ECS shows, in our words: lists of names become maps, and what ECS writes for "not set" is not set.
    pub(super) fn live(found: &types::ContainerDefinition, wanted: Option<&Container>) -> Self {
        let ports = found.port_mappings().iter().filter_map(PortMapping::live).collect();
        let wanted_ports = wanted.map(|w| w.port_mappings.as_slice()).unwrap_or_default();
        Container {
            name: found.name().unwrap_or_default().to_owned(),
            image: Value::from(found.image().unwrap_or_default()),
            essential: Some(found.essential().unwrap_or(true)),
            cpu: Some(found.cpu()).filter(|cpu| *cpu != 0),
            memory: found.memory(),
            memory_reservation: found.memory_reservation(),
            port_mappings: in_order_of(wanted_ports, ports, PortMapping::key),
            environment: found
                .environment()
                .iter()
                .filter_map(|e| Some((e.name()?.to_owned(), Value::from(e.value().unwrap_or_default()))))
                .collect(),
            secrets: found
                .secrets()
                .iter()
                .map(|s| (s.name().to_owned(), Value::from(s.value_from())))
                .collect(),
            log_configuration: found.log_configuration().map(|log| LogConfiguration {
                log_driver: log.log_driver().as_str().to_owned(),
                options: log
                    .options()
                    .into_iter()
                    .flatten()
                    .map(|(k, v)| (k.clone(), Value::from(v.as_str())))
                    .collect(),
            }),
            health_check: found.health_check().map(|check| HealthCheck {
                command: check.command().to_vec(),
                interval: check.interval(),
                timeout: check.timeout(),
                retries: check.retries(),
                start_period: check.start_period(),
            }),
            entry_point: some(found.entry_point().to_vec()),
            command: some(found.command().to_vec()),
            depends_on: found
                .depends_on()
                .iter()
                .map(|d| (d.container_name().to_owned(), d.condition().as_str().to_owned()))
                .collect(),
            user: found.user().map(str::to_owned),
            working_directory: found.working_directory().map(str::to_owned),
            readonly_root_filesystem: found.readonly_root_filesystem(),
            linux_parameters: found
                .linux_parameters()
                .map(|l| LinuxParameters { init_process_enabled: l.init_process_enabled() }),
            ulimits: found
                .ulimits()
                .iter()
                .map(|u| {
                    let limit = Ulimit { soft: u.soft_limit(), hard: u.hard_limit() };
                    (u.name().as_str().to_owned(), limit)
                })
                .collect(),
            start_timeout: found.start_timeout(),
            stop_timeout: found.stop_timeout(),
        }
    }
}

impl PortMapping {
    fn key(&self) -> (i32, String) {
        (self.container_port, self.protocol.clone().unwrap_or_else(|| "tcp".into()))
    }

    fn request(&self) -> types::PortMapping {
        types::PortMapping::builder()
            .container_port(self.container_port)
            .protocol(self.protocol.as_deref().unwrap_or("tcp").into())
            .set_name(self.name.clone())
            .set_app_protocol(self.app_protocol.as_deref().map(Into::into))
            .build()
    }

    fn live(found: &types::PortMapping) -> Option<Self> {
        Some(PortMapping {
            container_port: found.container_port()?,
            protocol: Some(found.protocol().map_or("tcp", |p| p.as_str()).to_owned()),
            name: found.name().map(str::to_owned),
            app_protocol: found.app_protocol().map(|p| p.as_str().to_owned()),
        })
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_becomes_a_tag() {
        assert_eq!(image_tag("2.17.2+build5"), "2.17.2-build5");
    }

    #[test]
    fn a_tag_with_a_plus_is_refused_and_the_right_one_is_named() {
        let error = check_image("registry:5000/coder:2.17.2+b5").unwrap_err().to_string();
        assert!(error.contains("`2.17.2-b5`"), "{error}");
        assert!(check_image("registry:5000/a+b/coder:2.17.2").is_ok());
        assert!(check_image("coder@sha256:0123").is_ok());
    }

    #[test]
    fn a_container_comes_back_as_it_was_asked_for() {
        let wanted = Container {
            name: "coder".into(),
            image: "coder:1".into(),
            port_mappings: vec![PortMapping::tcp(8080), PortMapping::tcp(3000)],
            environment: BTreeMap::from([("B".into(), "2".into()), ("A".into(), "1".into())]),
            secrets: BTreeMap::from([("S".into(), "arn:s".into())]),
            log_configuration: Some(LogConfiguration::awslogs("/ecs/coder", "us-east-1", "ecs")),
            health_check: Some(HealthCheck {
                command: vec!["CMD-SHELL".into(), "true".into()],
                interval: None,
                timeout: None,
                retries: None,
                start_period: Some(60),
            }),
            linux_parameters: Some(LinuxParameters { init_process_enabled: Some(true) }),
            ulimits: BTreeMap::from([("nofile".into(), Ulimit { soft: 1, hard: 2 })]),
            depends_on: BTreeMap::from([("init".into(), "SUCCESS".into())]),
            command: Some(vec!["server".into()]),
            stop_timeout: Some(120),
            ..Container::default()
        };
        let mut found = wanted.request().unwrap();
        found.port_mappings.as_mut().unwrap().reverse();
        let live = serde_json::to_value(Container::live(&found, Some(&wanted))).unwrap();
        let mut expected = serde_json::to_value(&wanted).unwrap();
        // What ECS fills in.
        expected["essential"] = true.into();
        expected["port_mappings"][0]["protocol"] = "tcp".into();
        expected["port_mappings"][1]["protocol"] = "tcp".into();
        assert_eq!(live, expected);
    }
}
