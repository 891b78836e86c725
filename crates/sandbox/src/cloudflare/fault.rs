//! Faults on request: what can happen to a call.

use serde::{Deserialize, Serialize};

use crate::gateway::{Effect, Latency};

/// Which calls are met, and by what. Calls are named `records:batch`, see [`Call`](super::Call); `access_key` is the name of a
/// token, `region` that of a zone.
pub type Rule = crate::gateway::Rule<Act>;

/// What happens to a call that a rule meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// The call takes longer; other rules may act on it as well.
    Latency(Latency),
    /// Answers 429 with `retry-after` in seconds; no effect.
    TooMany(u32),
    /// Answers 429 without any header that says for how long; no effect.
    TooManySilently,
    /// Answers 403 with the code 10000; no effect.
    Denied,
    /// Answers 403 with the code 10001, as Cloudflare does for a token that is too new; no effect.
    Unauthenticated,
    /// Answers 500; no effect.
    ErrorBefore,
    /// The call takes effect, the answer is 500.
    ErrorAfter,
    /// Answers 502 with a page of HTML, as the edge does when the API is away; no effect.
    HtmlBefore,
    /// The call takes effect, the answer is 502 with a page of HTML.
    HtmlAfter,
    /// The call takes effect, the answer is JSON that ends half-way.
    Truncated,
    /// Closes the connection; no effect.
    CutBefore,
    /// The call takes effect, then the connection is closed without an answer.
    CutAfter,
    /// The call takes effect and is answered; the next call on the same connection finds it closed, without effect.
    CutNext,
    /// Waits for a release before the call takes effect. If the caller goes away meanwhile, it never does.
    HoldBefore,
    /// The call takes effect; the answer waits for a release.
    HoldAfter,
}

impl Effect for Act {
    fn latency(self) -> Option<Latency> {
        if let Act::Latency(latency) = self { Some(latency) } else { None }
    }

    fn holds(self) -> bool {
        matches!(self, Act::HoldBefore | Act::HoldAfter)
    }
}
