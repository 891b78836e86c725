//! A program that runs at set times.

use crate::workload::Workload;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, JobSpec, JobTemplateSpec};

/// When a program runs, and for how long it may.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// In the five fields of cron.
    pub cron: String,
    /// By whose clock, like `America/Vancouver`.
    pub time_zone: String,
    /// Seconds after which a run is given up.
    pub limit_seconds: i64,
}

impl Workload {
    /// Its pod, at set times. A run never starts while the last one goes on: half of one may be done. Whether it is suspended
    /// is left to whoever suspends it.
    pub fn cron_job(&self, schedule: &Schedule) -> CronJob {
        let mut template = self.template();
        if let Some(spec) = &mut template.spec {
            spec.restart_policy = Some("OnFailure".into());
        }
        CronJob {
            metadata: self.metadata(),
            spec: Some(CronJobSpec {
                schedule: schedule.cron.clone(),
                time_zone: Some(schedule.time_zone.clone()),
                concurrency_policy: Some("Forbid".into()),
                starting_deadline_seconds: Some(600),
                successful_jobs_history_limit: Some(1),
                failed_jobs_history_limit: Some(3),
                job_template: JobTemplateSpec {
                    metadata: None,
                    spec: Some(JobSpec {
                        active_deadline_seconds: Some(schedule.limit_seconds),
                        backoff_limit: Some(3),
                        template,
                        ..JobSpec::default()
                    }),
                },
                ..CronJobSpec::default()
            }),
            status: None,
        }
    }
}
