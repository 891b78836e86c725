//! Reads a log group in the order of time, and goes on as more comes.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>

use super::Logs;
use crate::Call;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use causeway_core::{Error, error::Found};
use std::collections::BTreeMap;

/// How far back a follower looks once more, in milliseconds: what is written at the same time in two streams does not
/// become readable at the same time.
const LAG: i64 = 15_000;

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was written, in milliseconds since 1970, by the writer's clock.
    pub at: i64,
    /// The stream that it is in.
    pub stream: String,
    /// What was written, without the line end.
    pub message: String,
}

/// What one look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// New events, oldest first. Over many pages the order holds as far as CloudWatch keeps it.
    pub events: Vec<Event>,
    /// Whether there is more to be had at once.
    pub more: bool,
}

/// A reader of one log group. Each event is given once.
#[derive(Clone, Debug)]
pub struct Tail {
    group: String,
    since: i64,
    streams: Vec<String>,
    text: Option<String>,
    /// The token of the page that comes next.
    next: Option<String>,
    newest: i64,
    /// Ids of the events that a look may find once more, with their times.
    seen: BTreeMap<String, i64>,
}

impl Tail {
    /// From `since`, in milliseconds since 1970.
    pub fn new(group: impl Into<String>, since: i64) -> Self {
        Tail {
            group: group.into(),
            since,
            streams: vec![],
            text: None,
            next: None,
            newest: since,
            seen: BTreeMap::new(),
        }
    }

    /// Only these streams.
    pub fn streams(mut self, streams: impl IntoIterator<Item = String>) -> Self {
        self.streams = streams.into_iter().collect();
        self
    }

    /// Only lines that hold this text as it is, with capitals and all.
    pub fn containing(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into()).filter(|t| !t.is_empty());
        self
    }

    /// Looks once. A group or stream that is not there yet has no events.
    ///
    /// # Errors
    /// When CloudWatch cannot be asked.
    pub async fn look(&mut self, logs: &Logs) -> Result<Page, Error> {
        let call = logs
            .filter_log_events()
            .log_group_name(&self.group)
            .start_time(self.since)
            .set_log_stream_names(Some(self.streams.clone()).filter(|s| !s.is_empty()))
            .set_filter_pattern(self.pattern())
            .set_next_token(self.next.clone());
        let Some(found) = call.send().await.call("logs:FilterLogEvents").found()? else {
            return Ok(Page::default());
        };
        self.next = found.next_token.filter(|t| !t.is_empty());
        let events = self.take(found.events.unwrap_or_default());
        if self.next.is_none() {
            self.since = self.since.max(self.newest - LAG);
            self.seen.retain(|_, at| *at >= self.since);
        }
        Ok(Page { events, more: self.next.is_some() })
    }

    /// As CloudWatch understands it. A quotation mark ends a phrase there, so such a text is only looked for here.
    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>
    fn pattern(&self) -> Option<String> {
        let text = self.text.as_ref().filter(|t| !t.contains(['"', '\\']))?;
        Some(format!("\"{text}\""))
    }

    fn take(&mut self, found: Vec<FilteredLogEvent>) -> Vec<Event> {
        let mut fresh = vec![];
        for event in found {
            let at = event.timestamp.unwrap_or_default();
            let id = event.event_id.unwrap_or_default();
            if !id.is_empty() && self.seen.insert(id, at).is_some() {
                continue;
            }
            self.newest = self.newest.max(at);
            let message = event.message.unwrap_or_default();
            if self.text.as_ref().is_none_or(|t| message.contains(t)) {
                let stream = event.log_stream_name.unwrap_or_default();
                fresh.push(Event { at, stream, message: message.trim_end_matches(['\r', '\n']).to_owned() });
            }
        }
        fresh.sort_by_key(|e| e.at);
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, at: i64, message: &str) -> FilteredLogEvent {
        FilteredLogEvent::builder()
            .event_id(id)
            .timestamp(at)
            .log_stream_name("coder/coder/t")
            .message(message)
            .build()
    }
    fn said(events: &[Event]) -> Vec<&str> {
        events.iter().map(|e| e.message.as_str()).collect()
    }

    #[test]
    fn an_event_is_given_once_and_in_the_order_of_time() {
        let mut tail = Tail::new("g", 0);
        assert_eq!(said(&tail.take(vec![event("b", 2, "two\n"), event("a", 1, "one")])), ["one", "two"]);
        assert_eq!(said(&tail.take(vec![event("b", 2, "two"), event("c", 2, "late")])), ["late"]);
    }

    #[test]
    fn a_text_is_meant_as_it_is() {
        let mut tail = Tail::new("g", 0).containing("say \"hi\"");
        assert_eq!(tail.pattern(), None);
        assert_eq!(said(&tail.take(vec![event("a", 1, "say hi"), event("b", 2, "I say \"hi\"!")])).len(), 1);
        assert_eq!(Tail::new("g", 0).containing("a [b").pattern().unwrap(), "\"a [b\"");
        assert_eq!(Tail::new("g", 0).containing("").pattern(), None);
    }
}
