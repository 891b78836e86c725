//! What cannot work, before it is known where it stands.

/// Something that a configuration says and that cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: the keys from the top of the file, like `["ecs", "service", "memory"]`.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Problem {
    /// At `path`, with dots between the keys. Keys that hold dots are given with [`Problem::key`].
    pub fn at(path: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        let path = path.split('.').map(str::to_owned).collect();
        Problem { path, message: message.into(), help: help.into() }
    }

    /// One key further in.
    pub fn key(mut self, key: &str) -> Self {
        self.path.push(key.to_owned());
        self
    }
}
