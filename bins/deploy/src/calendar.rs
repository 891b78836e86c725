//! Freeze windows of commands that change something beside the stack, by hand or as a job in a cluster.

use crate::{
    cli::reason,
    failure::{Code, Failure},
    screen::Screen,
};
use causeway_core::{freeze::Freeze, guard};
use causeway_stacks::config::FreezeConfig;

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Calendar {
    /// Do it although `[guard]` has a freeze, and say why
    #[arg(long, value_name = "REASON", value_parser = reason)]
    during_freeze: Option<String>,
    /// A clock runs this and not a person: that there is a freeze is no failure then
    #[arg(long)]
    pub(crate) scheduled: bool,
    /// When nothing is to be changed: the fields of [[guard.freeze]] as JSON. For jobs, which have no file
    #[arg(long, value_name = "JSON", value_parser = parse)]
    freeze: Vec<Freeze>,
}

fn parse(text: &str) -> Result<Freeze, String> {
    let config: FreezeConfig = serde_json::from_str(text).map_err(|error| error.to_string())?;
    config.freeze().map_err(|error| error.to_string())
}

impl Calendar {
    /// Why nothing is to be changed now, in a sentence; nothing where it may be.
    pub(crate) fn frozen(&self, others: &[Freeze], screen: &Screen) -> Option<String> {
        let now = jiff::Timestamp::now();
        let all = guard::freezes(&[&self.freeze, others].concat(), now);
        let first = all.into_iter().next()?;
        match &self.during_freeze {
            Some(reason) => {
                screen.note(&format!("during a freeze, because: {reason}"));
                None
            }
            None => Some(first.why),
        }
    }

    /// How a command ends that has changed nothing because of a freeze.
    pub(crate) fn ends(&self, why: String, screen: &Screen) -> Result<Code, Failure> {
        if !self.scheduled {
            return Err(Failure::new(Code::Refused, why));
        }
        screen.say(&why);
        Ok(Code::Done)
    }
}
