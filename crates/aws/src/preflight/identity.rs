//! Who we are, and whether the session lasts as long as the plan takes.

use super::{Finding, Preflight};
use causeway_core::Error;
use std::time::Duration;

/// A session should outlast the estimate by this much: estimates are what runs took, and some take longer.
const MARGIN: u32 = 2;

/// Who works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: String,
    /// The ARN.
    pub principal: String,
    /// How long the credentials last.
    pub session: Session,
}

/// How long credentials last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// Until somebody takes them away.
    LongLived,
    /// What gives them renews them by itself.
    Renewed,
    /// This long from now; nothing renews them.
    Ends(Duration),
    /// They are temporary, and nobody says how long.
    Untold,
}

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let Identity { account, principal, session } = &preflight.identity;
    let who = Finding::passed("who we are", format!("{principal} in account {account}"));
    Ok(vec![who, session_of(*session, preflight.takes)])
}

fn session_of(session: Session, takes: Duration) -> Finding {
    let asked = format!("whether the session outlasts the plan, which takes about {}", span(takes));
    match session {
        Session::LongLived => Finding::passed(asked, "the credentials do not expire"),
        Session::Renewed => Finding::passed(asked, "the session is renewed by itself"),
        Session::Ends(left) if left < takes => Finding::failed(
            asked,
            format!("it ends in {}", span(left)),
            "start a new one: sign in again, or add --mfa-code",
        ),
        Session::Ends(left) if left < takes * MARGIN => Finding::warning(
            asked,
            format!("it ends in {}, which is not much longer", span(left)),
            "start a new one, or go on: running again continues where it stopped",
        ),
        Session::Ends(left) => Finding::passed(asked, format!("it ends in {}", span(left))),
        Session::Untold => Finding::not_asked(
            asked,
            "these credentials are temporary and do not say when they end",
            "set AWS_CREDENTIAL_EXPIRATION beside them, or use a profile or --mfa-serial, which know",
        ),
    }
}

/// In the largest unit that says enough.
fn span(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::finding::Verdict;

    #[test]
    fn a_session_has_to_outlast_the_plan() {
        let takes = Duration::from_secs(600);
        let verdict = |session| session_of(session, takes).verdict;
        let ends = |seconds| Session::Ends(Duration::from_secs(seconds));
        assert_eq!(verdict(ends(599)), Verdict::Failed);
        assert_eq!(verdict(ends(1199)), Verdict::Warning);
        assert_eq!(verdict(ends(1200)), Verdict::Passed);
        assert_eq!(verdict(Session::Untold), Verdict::NotAsked);
        assert_eq!(verdict(Session::LongLived), Verdict::Passed);
        assert_eq!(verdict(Session::Renewed), Verdict::Passed);
        assert!(session_of(ends(90), takes).answer.contains("90 s"));
        assert_eq!(span(takes), "10 min");
        assert_eq!(span(Duration::from_secs(9000)), "2 h 30 min");
    }
}
