//! The time, and how far a signature's may be from it: a quarter of an hour for S3, five minutes for the others.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use std::collections::HashMap;
use std::sync::Mutex;

use http::{HeaderMap, HeaderValue};
use jiff::{SignedDuration, Timestamp, civil::DateTime, fmt::rfc2822, tz::TimeZone};

use super::lock;
use super::operation::Wire;
use super::refusal::{Answer, refuse};
use super::route::{Protocol, Scope};

/// As signatures write the time.
const BASIC: &str = "%Y%m%dT%H%M%SZ";

/// How far AWS's clock is ahead of this machine's, by account: who has one of its own has a clock that is wrong.
#[derive(Default)]
pub(crate) struct Clocks(Mutex<HashMap<String, SignedDuration>>);

impl Clocks {
    pub(crate) fn set(&self, access_key: &str, ahead: SignedDuration) {
        lock(&self.0).insert(crate::account::of(access_key).to_owned(), ahead);
    }

    fn ahead(&self, access_key: &str) -> Option<SignedDuration> {
        lock(&self.0).get(crate::account::of(access_key)).copied()
    }

    /// The `Date` of answers to somebody whose clock is wrong.
    pub(crate) fn date(&self, access_key: &str) -> Option<HeaderValue> {
        let now = Timestamp::now() + self.ahead(access_key)?;
        rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok()?.parse().ok()
    }

    /// What a call is refused with whose signature is too old or too new.
    pub(crate) fn refusal(&self, wire: Wire, scope: &Scope, headers: &HeaderMap) -> Option<Answer> {
        let now = Timestamp::now() + self.ahead(&scope.access_key).unwrap_or_default();
        refusal(wire, &scope.service, headers.get("x-amz-date")?.to_str().ok()?, now)
    }
}

fn refusal(wire: Wire, service: &str, signed: &str, now: Timestamp) -> Option<Answer> {
    let at = DateTime::strptime(BASIC, signed).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let minutes = if service == "s3" { 15 } else { 5 };
    let most = SignedDuration::from_mins(minutes);
    let late = now.duration_since(at);
    if late.abs() <= most {
        return None;
    }
    let text = |at: Timestamp| at.strftime(BASIC);
    let message = if service == "s3" {
        "The difference between the request time and the current time is too large.".to_owned()
    } else if late.is_negative() {
        let limit = text(now + most);
        format!(
            "Signature not yet current: {signed} is still later than {limit} ({} + {minutes} min.)",
            text(now)
        )
    } else {
        let limit = text(now - most);
        format!("Signature expired: {signed} is now earlier than {limit} ({} - {minutes} min.)", text(now))
    };
    let (status, code) = match wire {
        _ if service == "s3" => (403, "RequestTimeTooSkewed"),
        Wire::Service(Protocol::Ec2) => (400, "RequestExpired"),
        Wire::Service(Protocol::Query | Protocol::RestXml) => (403, "SignatureDoesNotMatch"),
        Wire::Service(Protocol::RestJson) => (403, "InvalidSignatureException"),
        _ => (400, "InvalidSignatureException"),
    };
    let mut answer = refuse(wire, service, status, code, &message);
    if service == "s3" {
        let more = format!(
            "</Message><RequestTime>{signed}</RequestTime><ServerTime>{}</ServerTime>\
             <MaxAllowedSkewMilliseconds>{}</MaxAllowedSkewMilliseconds>",
            now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            most.as_millis()
        );
        answer.body = String::from_utf8_lossy(&answer.body).replace("</Message>", &more).into();
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_good_for_some_minutes() {
        let said = |wire, service: &str, signed: &str| {
            let answer =
                refusal(Wire::Service(wire), service, signed, "2026-11-22T15:00:00Z".parse().unwrap())?;
            Some((answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap()))
        };
        let xml = |signed: &str| said(Protocol::RestXml, "cloudfront", signed);
        assert_eq!((xml("20261122T145500Z"), xml("20261122T150500Z"), xml("never")), (None, None, None));
        let (status, body) = xml("20261122T145459Z").unwrap();
        assert_eq!(status, 403);
        assert!(body.contains("<Code>SignatureDoesNotMatch</Code>"), "{body}");
        let expired = "Signature expired: 20261122T145459Z is now earlier than 20261122T145500Z (20261122T150000Z - 5 min.)";
        assert!(body.contains(expired), "{body}");
        assert!(
            xml("20261122T150501Z")
                .unwrap()
                .1
                .contains("Signature not yet current: 20261122T150501Z is still later")
        );
        let json = said(Protocol::RestJson, "cloudfront-keyvaluestore", "20261122T145459Z").unwrap();
        assert!(json.1.contains("InvalidSignatureException"));
        let s3 = |signed: &str| said(Protocol::RestXml, "s3", signed);
        assert_eq!(s3("20261122T144500Z"), None);
        let (status, body) = s3("20261122T144459Z").unwrap();
        let rest = "<RequestTime>20261122T144459Z</RequestTime><ServerTime>2026-11-22T15:00:00Z</ServerTime><MaxAllowedSkewMilliseconds>900000<";
        assert!(
            status == 403 && body.contains("<Code>RequestTimeTooSkewed<") && body.contains(rest),
            "{body}"
        );
    }
}
