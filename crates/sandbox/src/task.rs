//! The processes that stand for the containers of ECS tasks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// A container of an ECS task: a local process, running or ended. One that the emulator has cleared away is not listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// `TASK-CONTAINER`: the id at the end of the task's ARN and the container's name.
    pub name: String,
    /// The image it was started from.
    pub image: String,
    /// The port on 127.0.0.1 of each port that the container publishes.
    pub ports: BTreeMap<u16, u16>,
    /// Its exit code, once it has ended.
    pub exit: Option<i32>,
    /// What it has printed.
    pub log: String,
}

#[derive(Deserialize)]
struct Config {
    image: String,
    ports: BTreeMap<u16, u16>,
}

/// Reads the state that `container.py` keeps.
pub(crate) fn all(containers: &Path) -> Vec<Task> {
    let entries = fs::read_dir(containers).into_iter().flatten().flatten();
    let mut tasks: Vec<Task> = entries
        // A link for each name, a folder for each container.
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
        .filter_map(|entry| {
            let folder = entry.path();
            let config: Config =
                serde_json::from_str(&fs::read_to_string(folder.join("config.json")).ok()?).ok()?;
            Some(Task {
                name: entry.file_name().into_string().ok()?,
                image: config.image,
                ports: config.ports,
                exit: fs::read_to_string(folder.join("exit")).ok().and_then(|code| code.trim().parse().ok()),
                log: String::from_utf8_lossy(&fs::read(folder.join("log")).unwrap_or_default()).into_owned(),
            })
        })
        .collect();
    tasks.sort_by(|one, other| one.name.cmp(&other.name));
    tasks
}
