//! What is deployed, as the journal knows it: for commands that work on what runs.

use crate::{
    failure::{Code, Failure},
    session::Session,
};
use causeway_aws::{Aws, Region, ecs::OneOff};
use causeway_core::{Address, Error, Stop, journal::Record, repeated};
use causeway_stacks::ecs::{CONTAINER, DATABASE, REPOSITORY, SERVICE, TASK};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use std::future::Future;

/// The service, and how to reach it.
pub(crate) struct Running {
    pub(crate) aws: Aws,
    /// Name of the cluster.
    pub(crate) cluster: String,
    /// Name of the service.
    pub(crate) service: String,
    /// The revision that the last apply meant, whether it came to run or not.
    pub(crate) meant: String,
    /// What was applied last of the task definition.
    task: Json,
    /// What was applied last of the service.
    spec: Json,
    /// Address and name of the image repository.
    repository: Option<(String, String)>,
    /// The identifier of the database.
    database: Option<String>,
}

impl Running {
    /// Reads the journal of `session`. Asks AWS nothing.
    ///
    /// # Errors
    /// There is no service in it.
    pub(crate) async fn of(session: &Session) -> Result<Self, Failure> {
        let state = session.engine.state().await?;
        let spec = |address: &str| -> Option<Json> {
            let record: &Record = state.records.get(&Address::from(address))?;
            Some(record.request.spec.as_json().clone())
        };
        let nothing = || {
            let name = &session.file.config.stack.name;
            let failure = Failure::new(Code::Unavailable, format!("the stack `{name}` has no service yet"));
            failure.hint("`deploy apply` makes it; `deploy status` shows how it stands")
        };
        let service = spec(SERVICE).ok_or_else(nothing)?;
        let text = |field: &str| service.get(field).and_then(Json::as_str).map(str::to_owned);
        let record = state.records.get(&Address::from(SERVICE));
        let pending = record.and_then(|r| r.pending.last()).map_or(&service, |p| p.as_json());
        let meant = pending.get("task_definition").and_then(Json::as_str).unwrap_or_default().to_owned();
        let outputs = state.records.get(&Address::from(REPOSITORY)).and_then(|r| r.outputs.clone());
        let told = |field: &str| Some(outputs.as_ref()?.get(field)?.as_str()?.to_owned());
        let database = spec(DATABASE).and_then(|d| Some(d.get("identifier")?.as_str()?.to_owned()));
        Ok(Running {
            aws: Aws::new(&session.sdk, &Region::new(&session.cloud.region)),
            cluster: text("cluster").ok_or_else(nothing)?,
            service: text("name").ok_or_else(nothing)?,
            task: spec(TASK).ok_or_else(nothing)?,
            meant,
            repository: told("repository_uri").zip(told("name")),
            database,
            spec: service,
        })
    }

    /// A task like those of the service.
    ///
    /// # Errors
    /// The service is gone, or ECS cannot be asked.
    pub(crate) async fn one_off(&self) -> Result<OneOff, Failure> {
        let found = asked(|| self.aws.ecs.service(&self.cluster, &self.service)).await?;
        let service = found.ok_or_else(|| {
            let text = format!("the service `{}` is not there any more", self.service);
            Failure::new(Code::Unavailable, text).hint("`deploy apply` makes it anew")
        })?;
        Ok(OneOff { container: CONTAINER.into(), ..OneOff::like(&service) })
    }

    /// The log group of the container.
    ///
    /// # Errors
    /// It has none.
    pub(crate) fn log_group(&self) -> Result<String, Failure> {
        self.log_option("awslogs-group").ok_or_else(|| {
            let text = format!("the container `{CONTAINER}` does not log to CloudWatch");
            Failure::new(Code::Unavailable, text)
        })
    }

    /// The stream of a task's container in [`Running::log_group`].
    pub(crate) fn log_stream(&self, task: &str) -> String {
        let prefix = self.log_option("awslogs-stream-prefix").unwrap_or_else(|| CONTAINER.to_owned());
        format!("{prefix}/{CONTAINER}/{task}")
    }

    fn log_option(&self, name: &str) -> Option<String> {
        let containers = self.task.get("container_definitions")?.as_array()?;
        let ours = containers.iter().find(|c| c.get("name").is_some_and(|n| n == CONTAINER))?;
        let option = ours.get("log_configuration")?.get("options")?.get(name)?;
        option.as_str().map(str::to_owned)
    }

    /// The service as it was applied last.
    ///
    /// # Errors
    /// The journal is of another version of this program.
    pub(crate) fn service_spec<R: DeserializeOwned>(&self) -> Result<R, Failure> {
        serde_json::from_value(self.spec.clone()).map_err(|e| Failure::bug(&e))
    }

    /// The name of the repository of this stack and the digest, if `image` names one there by its digest.
    pub(crate) fn in_repository<'i>(&self, image: &'i str) -> Option<(String, &'i str)> {
        let (address, name) = self.repository.as_ref()?;
        let digest = image.strip_prefix(address.as_str())?.strip_prefix('@')?;
        Some((name.clone(), digest))
    }

    /// The identifier of the database.
    ///
    /// # Errors
    /// The stack has none.
    pub(crate) fn database(&self) -> Result<&str, Failure> {
        let none = || Failure::new(Code::Refused, "the stack has no database to take a snapshot of");
        self.database.as_deref().ok_or_else(none)
    }

    /// CPU units and MiB of the tasks.
    pub(crate) fn size(&self) -> (u32, u32) {
        let number = |field: &str| self.task.get(field).and_then(Json::as_u64);
        let number = |field| number(field).and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
        (number("cpu"), number("memory"))
    }
}

/// Asks AWS, again where the failure may pass.
pub(crate) async fn asked<T, Fut>(call: impl FnMut() -> Fut) -> Result<T, Failure>
where
    Fut: Future<Output = Result<T, Error>>,
{
    repeated(&Stop::default(), call).await.map_err(Failure::from)
}

/// The id in the name of a log stream or an ARN.
pub(crate) fn id(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
