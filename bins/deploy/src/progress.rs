//! What is seen of an apply while it runs: plain lines, or on a terminal also one line for each step that runs.

use crate::screen::{Paint, Screen, aside, folded};
use causeway_core::{
    Address,
    event::Event,
    plan::{Action, Plan},
    render,
};
use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How wide the addresses may make their column.
const ADDRESS: usize = 36;

/// Listens to an apply and shows it.
pub(crate) struct Progress {
    started: Instant,
    /// The width of the column of addresses.
    column: usize,
    /// The columns of the terminal, if there is one.
    width: Option<usize>,
    colours: Colours,
    inner: Mutex<Inner>,
}

struct Inner {
    running: BTreeMap<Address, Running>,
    drawing: Option<Drawing>,
    /// The run was asked to stop.
    stopping: bool,
    /// How long it will take from begin to end. Becomes shorter when steps end early.
    estimate: Arc<Mutex<Duration>>,
}

struct Running {
    begun: Instant,
    typical: Duration,
    /// Its line on a terminal.
    line: Option<ProgressBar>,
}

struct Drawing {
    all: MultiProgress,
    total: ProgressBar,
}

type Colours = Box<dyn Fn(Paint, &str) -> String + Send + Sync>;

impl Progress {
    /// For `plan`; lines are drawn anew only where the screen is live.
    pub(crate) fn new(plan: &Plan, screen: &Arc<Screen>) -> Arc<Self> {
        let estimate = Arc::new(Mutex::new(Duration::ZERO));
        let drawing = screen.live().then(|| Drawing::new(plan.steps.len(), Arc::clone(&estimate)));
        let longest = plan.steps.iter().map(|s| s.address.0.chars().count()).max().unwrap_or_default();
        let screen = Arc::clone(screen);
        Arc::new(Progress {
            started: Instant::now(),
            column: longest.min(ADDRESS),
            width: screen.width(),
            colours: Box::new(move |paint, text| screen.painted(paint, text)),
            inner: Mutex::new(Inner { running: BTreeMap::new(), drawing, stopping: false, estimate }),
        })
    }

    /// Shows `event`.
    pub(crate) fn tell(&self, event: &Event) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let took = match event {
            Event::Done { address, .. } | Event::Failed { address, .. } => inner.end(address),
            _ => None,
        };
        match event {
            Event::Started { estimate, .. } => {
                *inner.estimate.lock().unwrap_or_else(PoisonError::into_inner) = *estimate;
            }
            Event::Begun { address, action, typical, .. } => {
                let line = inner
                    .drawing
                    .as_ref()
                    .map(|d| d.step(&self.head(Some(*action), address), doing(*action)));
                let running = Running { begun: Instant::now(), typical: *typical, line };
                inner.running.insert(address.clone(), running);
            }
            Event::Slow { address, .. } => inner.slow(address),
            Event::Waiting { address, on } => {
                if let Some(Running { line: Some(line), .. }) = inner.running.get(address) {
                    line.set_message(format!("waits: {on}"));
                }
            }
            Event::Draining => inner.stopping = true,
            Event::Skipped { .. } => {
                if let Some(drawing) = &inner.drawing {
                    drawing.total.inc(1);
                }
            }
            _ => {}
        }
        // On a terminal a running step has its own line, so that only ends are worth a lasting one.
        let passing = matches!(event, Event::Begun { .. } | Event::Waiting { .. } | Event::Slow { .. });
        // Whoever stopped the run knows why nothing more is tried.
        let known = inner.stopping && matches!(event, Event::Skipped { .. });
        if known || (passing && inner.drawing.is_some()) {
            return;
        }
        if let Some(line) = said(event, took) {
            inner.print(&self.line(event, &line));
        }
    }

    /// Removes what is drawn anew.
    pub(crate) fn finish(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.running.clear();
        if let Some(drawing) = inner.drawing.take() {
            drawing.total.finish_and_clear();
            // Nothing is left to draw on if this fails.
            let _ = drawing.all.clear();
        }
    }

    /// How long it took.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// `[   12s] + database   creating`.
    fn line(&self, event: &Event, said: &str) -> String {
        let time = format!("[{:>7}]", render::duration(self.started.elapsed()));
        let before = time.len() + if subject(event).is_some() { self.column + 5 } else { 1 };
        let room = self.width.map(|columns| columns.saturating_sub(before));
        let said = folded(said, room).join(&format!("\n{:before$}", ""));
        let time = (self.colours)(Paint::Dim, &time);
        let said = match event {
            Event::Failed { .. } => (self.colours)(Paint::Red, &said),
            Event::Slow { .. } => (self.colours)(Paint::Yellow, &said),
            Event::Skipped { .. } | Event::Draining => (self.colours)(Paint::Yellow, &said),
            _ => said,
        };
        match subject(event) {
            Some((address, action)) => format!("{time} {}  {said}", self.head(action, address)),
            None => format!("{time} {said}"),
        }
    }

    /// Sign and address, as wide as the column.
    fn head(&self, action: Option<Action>, address: &Address) -> String {
        let sign = action.map_or(" ", render::sign);
        let padded = format!("{sign} {:<width$}", address.0, width = self.column);
        match Paint::of(sign) {
            Some(paint) => (self.colours)(paint, &padded),
            None => padded,
        }
    }
}

impl Inner {
    /// How long the step took that has come to its end.
    fn end(&mut self, address: &Address) -> Option<Duration> {
        if let Some(drawing) = &self.drawing {
            drawing.total.inc(1);
            // A replacement comes to its end twice.
            let most = drawing.total.position().max(drawing.total.length().unwrap_or_default());
            drawing.total.set_length(most);
        }
        let before = self.horizon();
        let Running { begun, line, .. } = self.running.remove(address)?;
        if let (Some(line), Some(drawing)) = (line, &self.drawing) {
            line.finish_and_clear();
            drawing.all.remove(&line);
        }
        // What ends early while all else waits for it brings the end of the run as much closer.
        let gained = before.saturating_sub(self.horizon());
        let mut estimate = self.estimate.lock().unwrap_or_else(PoisonError::into_inner);
        *estimate = estimate.saturating_sub(gained).max(Duration::from_secs(1));
        drop(estimate);
        Some(begun.elapsed())
    }

    /// Marks the line of a step that takes too long.
    fn slow(&self, address: &Address) {
        if let Some(Running { line: Some(line), .. }) = self.running.get(address) {
            line.set_style(step_style(true));
        }
    }

    /// How long what runs now will still take.
    fn horizon(&self) -> Duration {
        let left = self.running.values().map(|r| r.typical.saturating_sub(r.begun.elapsed()));
        left.max().unwrap_or_default()
    }

    fn print(&self, line: &str) {
        match &self.drawing {
            // Drawing fails when the terminal has gone; the journal has it all.
            Some(drawing) => {
                let _ = drawing.all.println(line);
            }
            None => aside(line),
        }
    }
}

impl Drawing {
    fn new(steps: usize, estimate: Arc<Mutex<Duration>>) -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(steps as u64));
        let left = move |state: &ProgressState, out: &mut dyn Write| {
            let estimate = *estimate.lock().unwrap_or_else(PoisonError::into_inner);
            // A line that cannot be written is not seen either.
            let _ = out.write_str(&remaining(estimate, state.elapsed()));
        };
        let elapsed = |state: &ProgressState, out: &mut dyn Write| {
            let _ = out.write_str(&render::duration(state.elapsed()));
        };
        let style = style("{bar:24.green/dim} {pos}/{len} steps, {took}{left}");
        total.set_style(style.with_key("left", left).with_key("took", elapsed).progress_chars("━━─"));
        total.enable_steady_tick(Duration::from_millis(250));
        Drawing { all, total }
    }

    fn step(&self, head: &str, doing: &str) -> ProgressBar {
        let line = self.all.insert_before(&self.total, ProgressBar::new_spinner());
        line.set_style(step_style(false));
        line.set_prefix(head.to_owned());
        line.set_message(doing.to_owned());
        line.enable_steady_tick(Duration::from_millis(120));
        line
    }
}

/// The line of a step that runs.
fn step_style(slow: bool) -> ProgressStyle {
    let took = |state: &ProgressState, out: &mut dyn Write| {
        let _ = write!(out, "{:>7}", render::duration(state.elapsed()));
    };
    let template = if slow {
        "{spinner} {took:.yellow} {prefix}  slower than usual, {wide_msg}"
    } else {
        "{spinner} {took} {prefix}  {wide_msg}"
    };
    style(template).with_key("took", took)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// What is left of an estimate, in words that follow the time that has passed.
fn remaining(estimate: Duration, elapsed: Duration) -> String {
    match estimate.saturating_sub(elapsed).as_secs() {
        _ if estimate.is_zero() => String::new(),
        0 => ", longer than usual".into(),
        s => format!(", about {} left", render::duration(render::rounded(Duration::from_secs(s)))),
    }
}

/// The resource that an event is about, and what is done to it where the event says so.
fn subject(event: &Event) -> Option<(&Address, Option<Action>)> {
    match event {
        Event::Begun { address, action, .. }
        | Event::Done { address, action }
        | Event::Failed { address, action, .. }
        | Event::Slow { address, action, .. }
        | Event::Skipped { address, action, .. } => Some((address, Some(*action))),
        Event::Waiting { address, .. } => Some((address, None)),
        Event::Started { .. } | Event::Draining => None,
    }
}

/// What is printed of an event, after the time and the resource.
fn said(event: &Event, took: Option<Duration>) -> Option<String> {
    let took = took.filter(|t| t.as_secs() > 0);
    let took = took.map_or_else(String::new, |t| format!(" ({})", render::duration(t)));
    match event {
        Event::Started { steps, estimate, .. } if estimate.is_zero() => Some(format!("{steps} steps")),
        Event::Started { steps, estimate, late } => {
            let (estimate, late) = (render::rounded(*estimate), render::rounded(*late));
            let late =
                if late > estimate { format!(", at most {}", render::duration(late)) } else { String::new() };
            Some(format!("{steps} steps, about {}{late}", render::duration(estimate)))
        }
        Event::Slow { after, .. } => {
            Some(format!("slow: 19 of 20 take less than {}", render::duration(render::rounded(*after))))
        }
        Event::Begun { action, .. } => Some(doing(*action).to_owned()),
        Event::Waiting { on, .. } => Some(format!("waits: {on}")),
        Event::Done { action: Action::Keep, .. } => Some(format!("nothing left to do{took}")),
        Event::Done { .. } => Some(format!("done{took}")),
        // The rest is told at the end, together.
        Event::Failed { error, .. } => {
            Some(format!("FAILED{took}: {}", error.lines().next().unwrap_or_default()))
        }
        Event::Skipped { why, .. } => Some(format!("skipped: {why}")),
        Event::Draining => {
            Some("stopping: nothing new is begun, what runs comes to its end; Ctrl-C again leaves it".into())
        }
    }
}

/// What is being done, in a word.
pub(crate) fn doing(action: Action) -> &'static str {
    match action {
        Action::Keep => "looking",
        Action::Create => "creating",
        Action::Update => "changing",
        Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => "replacing",
        Action::Delete => "deleting",
        Action::Adopt => "taking over",
        Action::Wait => "waiting for it",
        Action::Forget => "forgetting",
        Action::Record => "noting",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_happens() {
        let address = Address::from("database/instance");
        let begun = Event::Begun {
            address: address.clone(),
            kind: "aws.rds.instance".into(),
            action: Action::Create,
            typical: Duration::from_secs(300),
        };
        assert_eq!(said(&begun, None).unwrap(), "creating");
        let done = Event::Done { address: address.clone(), action: Action::Create };
        assert_eq!(said(&done, Some(Duration::from_secs(305))).unwrap(), "done (5m 5s)");
        let failed = Event::Failed { address, action: Action::Create, error: "rds said no".into() };
        assert_eq!(said(&failed, Some(Duration::from_secs(2))).unwrap(), "FAILED (2s): rds said no");
    }

    #[test]
    fn an_estimate_never_runs_below_nothing() {
        let seconds = Duration::from_secs;
        assert_eq!(remaining(seconds(0), seconds(5)), "");
        assert_eq!(remaining(seconds(60), seconds(5)), ", about 55s left");
        assert_eq!(remaining(seconds(300), seconds(70)), ", about 4m left");
        assert_eq!(remaining(seconds(60), seconds(75)), ", longer than usual");
    }
}
