//! How programs end: with which exit code and which document, and when they should not, without a core file, as their memory
//! holds secrets, and without showing values that a panic was told of.

pub mod document;
pub mod screen;

use std::{
    any::Any,
    io,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};

/// The exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Done, or nothing to do.
    Done = 0,
    /// There are changes, and somebody asked for that to be an exit code.
    Changes = 2,
    /// The flags or the configuration are wrong.
    Usage = 64,
    /// AWS, the sandbox or the journal could not be reached.
    Unavailable = 69,
    /// A bug of ours.
    Bug = 70,
    /// Something was not finished.
    Partial = 100,
    /// Refused; nothing was changed.
    Refused = 101,
}
impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(code as u8)
    }
}

/// Keeps core files from being written and, on Linux, other processes of the same user from reading the memory.
pub fn keep_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // What cannot be had is no reason not to work: the hard limit may be held by a container.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    // A core that is piped to a program ignores the limit, and honours this.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Does `work` on as many threads as there are cores, and waits for nothing else: blocking threads may still hang on a dead
/// connection.
///
/// # Errors
/// When there are no threads to be had.
pub fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(done)
}

/// Runs `work`. A panic in it is a bug of ours and told as one: its own exit code, 101, means that nothing was changed.
#[expect(clippy::print_stderr, reason = "nothing else may work any more")]
pub fn guarded(work: impl FnOnce() -> ExitCode) -> ExitCode {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let words = words(info.payload()).map_or_else(String::new, |words| format!(": {words}"));
        eprintln!("error: this program panicked at {place}{words}");
        eprintln!(
            "hint: this is a bug; please report it with the command that led here; running it again is safe"
        );
    }));
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Code::Bug.into())
}

/// What a panic says, if it stands in the source: what was put together while running may hold a value.
fn words(payload: &(dyn Any + Send)) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_of_the_source_are_shown() {
        assert_eq!(words(&"the list is never empty"), Some("the list is never empty"));
        assert_eq!(words(&format!("called with {}", "hunter2")), None);
    }

    #[test]
    fn a_panic_is_a_bug_and_no_refusal() {
        // The hook is the process's, so that the other tests get theirs back.
        let before = panic::take_hook();
        let code = guarded(|| panic!("on purpose"));
        panic::set_hook(before);
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(70)));
    }
}
